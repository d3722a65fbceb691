// Package model translates between the configuration tree (package tree), which is the master, and config.Config, which the
// controller brings into force.
//
// A section is the part of both that one subject has: interfaces, network instances, routing policy, and so on. Each section has a
// reader (tree to Config), a writer (Config to tree) and a locator, which finds the place in the tree that a path of config.Error
// means. sections.go lists them.
//
// Reading refuses what the tree's own rules let through and the appliance cannot do, and names the path; config.Config.Validate
// checks what the result means as a whole.
package model
