// Package gnoiserver serves gNOI, and of gNSI the rotation of certificates: what an orchestrator does to a box beside configuring it.
//
// Who may call what is decided before, by the role's access to /system: methods that only look need Read, others Write.
package gnoiserver
