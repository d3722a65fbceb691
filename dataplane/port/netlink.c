// SPDX-License-Identifier: Apache-2.0
/* rtnetlink requests with the kernel's own words for errors (NETLINK_EXT_ACK). */
#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "netlink.h"

#define NL_RECV_SIZE 32768

int nl_open(struct nl *nl, unsigned int groups)
{
	/* The kernel answers while the request is sent, so this is only there for a kernel that
	 * lost its answer: the control thread must not hang on it. */
	struct timeval patience = {.tv_sec = 2};
	int on = 1;
	int err;

	memset(nl, 0, sizeof(*nl));
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | (groups ? SOCK_NONBLOCK : 0));
	if (nl->sock == NULL || mnl_socket_bind(nl->sock, groups, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		snprintf(nl->message, sizeof(nl->message), "netlink socket: %s", strerror(-err));
		nl_close(nl);
		return err;
	}
	/* Both are niceties: an old kernel without them still works. */
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->sock != NULL)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

struct nlmsghdr *nl_start(void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h;

	memset(buf, 0, NL_REQUEST_SIZE);
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	return h;
}

static void note_error(struct nl *nl, const struct nlmsghdr *h, int err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;
	size_t off = sizeof(*e);

	snprintf(nl->message, sizeof(nl->message), "%s", strerror(err));
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		off += mnl_nlmsg_get_payload_len(&e->msg);
	if (off > mnl_nlmsg_get_payload_len(h))
		return;
	mnl_attr_for_each(attr, h, off)
	{
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			snprintf(nl->message, sizeof(nl->message), "%s (%s)",
				 mnl_attr_get_str(attr), strerror(err));
	}
}

/* Returns 1 to go on, 0 at the end, or a negative errno. */
static int handle(struct nl *nl, const struct nlmsghdr *h, mnl_cb_t cb, void *arg)
{
	const struct nlmsgerr *e;

	/* Leftovers of a request that timed out. */
	if (h->nlmsg_seq != nl->seq)
		return 1;
	switch (h->nlmsg_type) {
	case NLMSG_ERROR:
		if (h->nlmsg_len < mnl_nlmsg_size(sizeof(*e)))
			return -EBADMSG;
		e = mnl_nlmsg_get_payload(h);
		if (e->error < 0) {
			note_error(nl, h, -e->error);
			return e->error;
		}
		return 0;
	case NLMSG_DONE:
		return 0;
	case NLMSG_NOOP:
		return 1;
	default:
		if (cb != NULL)
			cb(h, arg);
		return 1;
	}
}

int nl_query(struct nl *nl, struct nlmsghdr *h, mnl_cb_t cb, void *arg)
{
	static char buf[NL_RECV_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool dump = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	const struct nlmsghdr *r;
	ssize_t len;
	int left;
	int rc;

	nl->message[0] = '\0';
	h->nlmsg_seq = ++nl->seq;
	h->nlmsg_pid = mnl_socket_get_portid(nl->sock);
	if (!dump)
		h->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->sock, h, h->nlmsg_len) < 0)
		goto fail;
	for (;;) {
		len = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			goto fail;
		left = (int)len;
		for (r = (void *)buf; mnl_nlmsg_ok(r, left); r = mnl_nlmsg_next(r, &left)) {
			rc = handle(nl, r, cb, arg);
			if (rc <= 0)
				return rc;
		}
	}
fail:
	rc = -errno;
	snprintf(nl->message, sizeof(nl->message), "netlink: %s", strerror(-rc));
	return rc;
}

int nl_ack(struct nl *nl, struct nlmsghdr *h)
{
	return nl_query(nl, h, NULL, NULL);
}
