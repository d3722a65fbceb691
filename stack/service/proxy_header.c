/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers of a proxied connection, from the client and to the backend. */
#include "maglev.h"
#include "proxy_private.h"

bool header_trusted(const struct svc_proxy_cfg *cfg, const struct tcp_addr *a)
{
	for (uint32_t i = 0; i < cfg->n_trusted; i++)
		if (tcp_prefix_has(&cfg->trusted[i], a))
			return true;
	return cfg->n_trusted == 0;
}

enum header_result header_accept(struct pair *p)
{
	enum svc_proxy_protocol want = p->l->cfg->proxy.accept_proxy;
	uint8_t buf[SVC_PP_MAX];
	uint32_t n = tcp_peek_copy(p->client, 0, buf, sizeof(buf));
	const char *why;
	struct svc_pp pp;

	switch (svc_pp_parse(buf, n, &pp, &why)) {
	case SVC_PP_BAD:
		return HEADER_BAD;
	case SVC_PP_MORE:
		/* A version that is not wanted is known from the first octets. Nothing more comes
		 * after the client's FIN. */
		if ((n != 0 && want == SVC_PROXY_PROTOCOL_V1 && buf[0] != 'P') ||
		    (n != 0 && want == SVC_PROXY_PROTOCOL_V2 && buf[0] == 'P') ||
		    tcp_conn_state(p->client) != TCP_ESTABLISHED)
			return HEADER_BAD;
		return HEADER_MORE;
	case SVC_PP_OK:
		break;
	}
	if (want != SVC_PROXY_PROTOCOL_ANY && pp.version != (want == SVC_PROXY_PROTOCOL_V1 ? 1 : 2))
		return HEADER_BAD;
	/* The octets themselves are kept until the backend has its header: they need no memory
	 * beyond the buffers they came in. */
	p->left[PAIR_UP] = tcp_read(p->client, pp.len);
	return p->left[PAIR_UP] != NULL ? HEADER_OK : HEADER_BAD;
}

static void addresses_of_connection(const struct pair *p, struct svc_pp *out)
{
	const struct tcp_tuple *t = tcp_tuple(p->client);

	out->family = (uint8_t)t->family;
	out->src = t->raddr;
	out->sport = t->rport;
	out->dst = t->laddr;
	out->dport = t->lport;
}

void header_identity(const struct pair *p, struct svc_pp *out, uint8_t *buf, const uint8_t **tlvs)
{
	const struct rte_mbuf *m = p->left[PAIR_UP];
	const uint8_t *b = NULL;
	const char *why;

	memset(out, 0, sizeof(*out));
	*tlvs = buf;
	if (m != NULL && m->pkt_len <= SVC_PP_MAX)
		b = rte_pktmbuf_read(m, 0, m->pkt_len, buf);
	if (b != NULL && svc_pp_parse(b, m->pkt_len, out, &why) == SVC_PP_OK)
		*tlvs = b + out->tlv_off;
	if (out->family == 0)
		addresses_of_connection(p, out);
}

uint64_t header_key(const struct pair *p)
{
	const struct svc_pool_cfg *cfg = p->pool->cfg;
	uint8_t buf[SVC_PP_MAX], words[36];
	const uint8_t *tlvs;
	struct svc_pp pp;

	if (cfg->balance != SVC_BALANCE_HASH)
		return 0;
	if (p->left[PAIR_UP] != NULL)
		header_identity(p, &pp, buf, &tlvs);
	else
		addresses_of_connection(p, &pp);
	if (cfg->hash_key == SVC_HASH_SOURCE)
		return svc_hash(&pp.src, sizeof(pp.src), cfg->hash_seed);
	memcpy(words, &pp.src, 16);
	memcpy(words + 16, &pp.dst, 16);
	memcpy(words + 32, &pp.sport, 2);
	memcpy(words + 34, &pp.dport, 2);
	return svc_hash(words, sizeof(words), cfg->hash_seed);
}

bool header_send(struct pair *p)
{
	enum svc_proxy_protocol version = p->l->cfg->proxy.send_proxy;
	uint8_t in[SVC_PP_MAX], out[SVC_PP_MAX + SVC_PP_OVERHEAD];
	const uint8_t *tlvs;
	struct svc_pp pp;
	uint32_t n = 0, tlv_len;

	if (version != SVC_PROXY_PROTOCOL_OFF) {
		header_identity(p, &pp, in, &tlvs);
		tlv_len = pp.tlv_len;
		pp.version = version == SVC_PROXY_PROTOCOL_V1 ? 1 : 2;
		n = svc_pp_build(&pp, tlvs, tlv_len, out, sizeof(out));
		if (n == 0 || tcp_write_copy(p->server, out, n) != (int)n)
			return false;
	}
	rte_pktmbuf_free(p->left[PAIR_UP]);
	p->left[PAIR_UP] = NULL;
	return true;
}
