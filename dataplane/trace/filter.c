/* SPDX-License-Identifier: Apache-2.0 */
#include <rte_ether.h>

#include "../port/port.h"
#include "tap.h"

int packet_filter_compile(struct packet_filter *f, const char *expression, const struct iface *i,
			  struct dp_error *err)
{
	pcap_t *p;
	int rc;

	*f = (struct packet_filter){.all = expression == NULL || expression[0] == 0};
	if (i != NULL) {
		if (i->kind == IFACE_LOOPBACK)
			return dp_fail(err, DP_INVALID, "interface", "no frame passes a loopback");
		f->iface = i->id;
		f->port = i->port;
		f->vlan = i->vlan;
	}
	if (f->all)
		return 0;
	p = pcap_open_dead(DLT_EN10MB, 65535);
	if (p == NULL)
		return dp_fail(err, DP_NO_MEMORY, "filter", "no memory");
	rc = pcap_compile(p, &f->program, expression, 1, PCAP_NETMASK_UNKNOWN);
	if (rc != 0)
		dp_fail(err, DP_INVALID, "filter", "%s", pcap_geterr(p));
	pcap_close(p);
	return rc != 0 ? -1 : 0;
}

void packet_filter_free(struct packet_filter *f)
{
	if (!f->all)
		pcap_freecode(&f->program);
}

static uint16_t frame_vlan(const struct rte_mbuf *m)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);

	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
		return m->vlan_tci & 0xfff;
	if (m->data_len < 18 || h[12] != 0x81 || h[13] != 0x00)
		return 0;
	return (uint16_t)((h[14] & 0xf) << 8 | h[15]);
}

uint16_t frame_iface(const struct rte_mbuf *m)
{
	const struct port *p = m->port < RTE_MAX_ETHPORTS ? ports[m->port] : NULL;
	uint16_t vlan = frame_vlan(m);

	if (p == NULL)
		return IFACE_NONE;
	return vlan != 0 && p->vlan_iface[vlan] != IFACE_NONE ? p->vlan_iface[vlan] : p->iface;
}

bool packet_filter_match(const struct packet_filter *f, const struct rte_mbuf *m)
{
	if (f->iface != IFACE_NONE && m->port != f->port)
		return false;
	if (f->vlan != 0 && frame_vlan(m) != f->vlan)
		return false;
	return f->all || bpf_filter(f->program.bf_insns, rte_pktmbuf_mtod(m, const u_char *),
				    m->pkt_len, m->data_len) != 0;
}
