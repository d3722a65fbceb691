// Package auth decides who may speak to the northbound API.
//
// Over TCP that is TLS 1.3 with certificates on both sides. The server keeps them in one directory:
//
//	ca.pem          the authority whose certificates are believed; several may stand in the file
//	ca-key.pem      its key; only where the appliance made the authority itself
//	server.pem      the appliance's certificate, with intermediate ones behind it if there are any
//	server-key.pem  its key
//	client.pem      a first operator's certificate, made together with the authority
//	client-key.pem  its key
//
// A first start with none of them makes all of them. Who brings an authority of his own puts ca.pem, server.pem and server-key.pem
// there; nothing is made then. Changed files are taken into use by the next connection.
//
// Over a unix socket the kernel says who the client is: root and the user that vnf runs as are let in.
package auth
