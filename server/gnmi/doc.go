// Package gnmiserver is the gNMI service (specification 0.10) on the management tree: what is read comes from the tree of the
// configuration and from the sources of state, what is set becomes a commit of the store.
//
// The tree has one origin, "openconfig", which the empty one stands for; our own modules belong to it as augmentations do.
package gnmiserver
