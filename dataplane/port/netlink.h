/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the kernel by rtnetlink, one at a time, each waited for. Control thread. */
#ifndef MILLRACE_PORT_NETLINK_H
#define MILLRACE_PORT_NETLINK_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

/* Room for any request made here. */
#define NL_REQUEST_SIZE 1024

struct nl {
	struct mnl_socket *sock;
	uint32_t seq;
	/* The kernel's words about the last failed request (extended acknowledgement, or strerror).
	 */
	char message[160];
};

/* Opens a socket in the calling thread's network namespace; it stays there. 0 or a negative errno.
 */
int nl_open(struct nl *nl, unsigned int groups);
void nl_close(struct nl *nl);

/* Starts a request in buf (NL_REQUEST_SIZE bytes); flags besides NLM_F_REQUEST. */
struct nlmsghdr *nl_start(void *buf, uint16_t type, uint16_t flags);
/* Sends it and waits for the acknowledgement. 0 or a negative errno, with nl->message set. */
int nl_ack(struct nl *nl, struct nlmsghdr *h);
/* Sends it and calls cb for each answer until the acknowledgement or the end of the dump. */
int nl_query(struct nl *nl, struct nlmsghdr *h, mnl_cb_t cb, void *arg);

#endif
