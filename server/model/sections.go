package model

// sections in the order in which they are read and written.
func sections() []section {
	return []section{
		interfacesSection(),
		policySection(),
		instanceSection(),
		systemSection(),
		dataplaneSection(),
		tcpSection(),
		aaaSection(),
		gribiSection(),
	}
}
