// Package lab makes small networks of network namespaces on this machine, with the appliance and programs that we did not write in
// them. The demo, the integration tests and the benchmarks stand on it.
//
//	l, err := lab.New("demo")
//	defer l.Close()
//	a, r := l.NS("a"), l.NS("r")
//	l.Veth(a, "eth0", r, "pa")
//	a.Addr("eth0", "10.0.1.2/24")
//	box, err := l.Box(r, lab.BoxOptions{Config: yaml})
//	out, err := box.Ctl("interface", "list")
//
// Everything is named after the lab and this process, ends with Close, and sends traffic only in the namespaces it made. It needs
// root.
package lab
