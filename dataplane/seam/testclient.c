/* SPDX-License-Identifier: Apache-2.0 */
#include "testclient.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_byteorder.h>

static uint64_t last_id = 100;

int client_connect(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	CHECK(fd >= 0, "socket");
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return fd;
}

void client_send_raw(int fd, const void *p, size_t len)
{
	const uint8_t *b = p;

	while (len > 0) {
		ssize_t n = send(fd, b, len, MSG_NOSIGNAL);

		CHECK(n > 0, "send: %s", strerror(errno));
		b += n;
		len -= (size_t)n;
	}
}

void client_send_frame(int fd, const void *p, size_t len)
{
	rte_be32_t be = rte_cpu_to_be_32((uint32_t)len);

	client_send_raw(fd, &be, sizeof(be));
	client_send_raw(fd, p, len);
}

void client_send(int fd, const req_t *q)
{
	size_t len = protobuf_c_message_get_packed_size(&q->base);
	uint8_t *buf = malloc(len + 1);

	CHECK(buf != NULL, "malloc");
	protobuf_c_message_pack(&q->base, buf);
	client_send_frame(fd, buf, len);
	free(buf);
}

static bool recv_all(int fd, void *p, size_t len)
{
	uint8_t *b = p;

	while (len > 0) {
		ssize_t n = recv(fd, b, len, 0);

		if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
			return false;
		CHECK(n > 0, "recv: %s", strerror(errno));
		b += n;
		len -= (size_t)n;
	}
	return true;
}

resp_t *client_recv(int fd)
{
	rte_be32_t be;
	uint32_t len;
	uint8_t *buf;
	resp_t *r;

	if (!recv_all(fd, &be, sizeof(be)))
		return NULL;
	len = rte_be_to_cpu_32(be);
	CHECK(len <= 4u << 20, "an answer of %u bytes", len);
	buf = malloc(len + 1);
	CHECK(buf != NULL, "malloc");
	if (!recv_all(fd, buf, len)) {
		free(buf);
		return NULL;
	}
	r = millrace__dataplane__v1__response__unpack(NULL, len, buf);
	CHECK(r != NULL, "the answer is not a Response");
	free(buf);
	return r;
}

void resp_free(resp_t *r)
{
	millrace__dataplane__v1__response__free_unpacked(r, NULL);
}

resp_t *client_call(int fd, req_t *q)
{
	resp_t *r;

	q->id = ++last_id;
	client_send(fd, q);
	for (;;) {
		r = client_recv(fd);
		CHECK(r != NULL, "closed instead of an answer");
		if (r->result_case != PBC(RESPONSE__RESULT_EVENT))
			break;
		resp_free(r);
	}
	CHECK(r->id == q->id, "answer to %llu, not %llu", (unsigned long long)r->id,
	      (unsigned long long)q->id);
	return r;
}

resp_t *client_try_hello(int fd, const char *owner, uint64_t epoch)
{
	req_t q = PB_VALUE(REQUEST);
	PB(Hello) h = PB_VALUE(HELLO);

	h.owner = pb_str(owner);
	h.epoch = epoch;
	h.client_version = "test";
	q.op_case = PBC(REQUEST__OP_HELLO);
	q.hello = &h;
	return client_call(fd, &q);
}

void client_hello(int fd, const char *owner, uint64_t epoch)
{
	resp_t *r = client_try_hello(fd, owner, epoch);

	CHECK(r->result_case == PBC(RESPONSE__RESULT_HELLO), "hello: %s",
	      r->error ? r->error->message : "?");
	resp_free(r);
}

resp_t *client_batch(int fd, op_t **ops, size_t n)
{
	req_t q = PB_VALUE(REQUEST);
	PB(Batch) b = PB_VALUE(BATCH);

	b.n_ops = n;
	b.ops = ops;
	q.op_case = PBC(REQUEST__OP_BATCH);
	q.batch = &b;
	return client_call(fd, &q);
}

void client_apply(int fd, op_t *op)
{
	resp_t *r = client_batch(fd, &op, 1);

	CHECK(r->error == NULL, "batch: %s %s", r->error->field, r->error->message);
	CHECK(r->batch->n_failed == 0, "%s: %s", r->batch->failed[0]->error->field,
	      r->batch->failed[0]->error->message);
	CHECK(r->batch->applied == 1, "applied %u", r->batch->applied);
	resp_free(r);
}

static void expect(const PB(Error) *e, int code, const char *field)
{
	CHECK((int)e->code == code && strcmp(e->field, field) == 0,
	      "got %d \"%s\" (%s), want %d \"%s\"", (int)e->code, e->field, e->message, code,
	      field);
	CHECK(*e->message != '\0', "no message for %s", field);
}

void client_refused(int fd, op_t *op, int code, const char *field)
{
	resp_t *r = client_batch(fd, &op, 1);

	CHECK(r->error == NULL, "batch: %s %s", r->error->field, r->error->message);
	CHECK(r->batch->n_failed == 1 && r->batch->applied == 0, "not refused, want %s", field);
	CHECK(r->batch->failed[0]->index == 0, "index");
	expect(r->batch->failed[0]->error, code, field);
	resp_free(r);
}

void expect_error(const resp_t *r, int code, const char *field)
{
	CHECK(r->error != NULL, "not refused, want %d %s", code, field);
	expect(r->error, code, field);
}

resp_t *client_list(int fd, int table, uint32_t limit, ProtobufCBinaryData cursor,
		    const char *interface, const char *vrf, bool ipv6)
{
	req_t q = PB_VALUE(REQUEST);
	PB(List) l = PB_VALUE(LIST);

	l.table = (PB(Table))table;
	l.limit = limit;
	l.cursor = cursor;
	l.interface = pb_str(interface);
	l.vrf = pb_str(vrf);
	l.ipv6 = ipv6;
	q.op_case = PBC(REQUEST__OP_LIST);
	q.list = &l;
	return client_call(fd, &q);
}
