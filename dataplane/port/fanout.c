/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's af_packet PMD puts its sockets into a fanout group with PACKET_FANOUT_FLAG_DEFRAG, always:
 * the kernel then reassembles IPv4 datagrams before the port sees them. A router must not
 * (RFC 1812 section 4.2.2.7: fragments are forwarded as they came), and what is reassembled does
 * not even fit into a frame of the ring, so that it arrives cut off. The PMD has no argument for
 * it in 22.11 or 24.11, and a socket's fanout can be set only once. Therefore this definition takes
 * the place of the C library's for the whole process, and leaves that one flag out.
 */
#include <linux/if_packet.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The option's value: group in the lower half, type and flags in the upper. */
#define DEFRAG ((uint32_t)PACKET_FANOUT_FLAG_DEFRAG << 16)

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name, const void *val,
						      socklen_t len)
{
	uint32_t fanout;

	if (level == SOL_PACKET && name == PACKET_FANOUT && len == sizeof(fanout)) {
		memcpy(&fanout, val, sizeof(fanout));
		fanout &= ~DEFRAG;
		val = &fanout;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, val, len);
}
