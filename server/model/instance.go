package model

import "millrace/yang/tree"

// member is an interface of a network instance.
type member struct {
	iface, instance string
	at              tree.Path
}
