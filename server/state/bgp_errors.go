package state

// The identities of error codes and subcodes of NOTIFICATION messages (RFC 4271 section 4.5, RFC 4486, RFC 7313).
var (
	errorCodes = map[uint8]string{
		1: "MESSAGE_HEADER_ERROR", 2: "OPEN_MESSAGE_ERROR", 3: "UPDATE_MESSAGE_ERROR", 4: "HOLD_TIMER_EXPIRED",
		5: "FINITE_STATE_MACHINE_ERROR", 6: "CEASE", 7: "ROUTE_REFRESH_MESSAGE_ERROR",
	}
	errorSubcodes = map[[2]uint8]string{
		{1, 1}: "CONNECTION_NOT_SYNCHRONIZED", {1, 2}: "BAD_MESSAGE_LENGTH", {1, 3}: "BAD_MESSAGE_TYPE",
		{2, 1}: "UNSUPPORTED_VERSION_NUMBER", {2, 2}: "BAD_PEER_AS", {2, 3}: "BAD_BGP_IDENTIFIER",
		{2, 4}: "UNSUPPORTED_OPTIONAL_PARAMETER", {2, 6}: "UNACCEPTABLE_HOLD_TIME", {2, 7}: "UNSUPPORTED_CAPABILITY",
		{3, 1}: "MALFORMED_ATTRIBUTE_LIST", {3, 2}: "UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE", {3, 3}: "MISSING_WELL_KNOWN_ATTRIBUTE",
		{3, 4}: "ATTRIBUTE_FLAGS_ERROR", {3, 5}: "ATTRIBUTE_LENGTH_ERROR", {3, 6}: "INVALID_ORIGIN_ATTRIBUTE",
		{3, 8}: "INVALID_NEXT_HOP_ATTRIBUTE", {3, 9}: "OPTIONAL_ATTRIBUTE_ERROR", {3, 10}: "INVALID_NETWORK_FIELD",
		{3, 11}: "MALFORMED_AS_PATH",
		{5, 1}:  "RECEIVE_UNEXPECTED_MESSAGE_OPENSENT", {5, 2}: "RECEIVE_UNEXPECTED_MESSAGE_OPENCONFIRM",
		{5, 3}: "RECEIVE_UNEXPECTED_MESSAGE_ESTABLISHED",
		{6, 1}: "MAX_NUM_PREFIXES_REACHED", {6, 2}: "ADMINISTRATIVE_SHUTDOWN", {6, 3}: "PEER_DE_CONFIGURED",
		{6, 4}: "ADMINISTRATIVE_RESET", {6, 5}: "CONNECTION_REJECTED", {6, 6}: "OTHER_CONFIG_CHANGE",
		{6, 7}: "CONN_COLLISION_RESOLUTION", {6, 8}: "OUT_OF_RESOURCES", {7, 1}: "INVALID_MESSAGE_LENGTH",
	}
)

// errorCode is the identity of a code; empty if there is none.
func errorCode(code uint8) string { return errorCodes[code] }

// errorSubcode is the identity of a subcode.
func errorSubcode(code, sub uint8) string {
	if id, ok := errorSubcodes[[2]uint8{code, sub}]; ok {
		return id
	}
	return "UNSPECIFIC"
}
