// Package agent does for the control plane the little that needs root, on a machine where that runs as a user of its own: it opens TCP
// listeners in the network namespace of the management network and hands over their descriptors, sets the machine's hostname, starts the
// machine or the data plane anew, has everything forgotten that the appliance was told, and reads the journal of the appliance's units.
// It does nothing else, and only for root and the control plane's user.
//
// Over a unix stream socket the client sends one request, a line of JSON, and gets one answer, a line of JSON; with that of "listen" comes a
// descriptor (SCM_RIGHTS). Then the connection ends.
package agent
