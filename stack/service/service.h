/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: what listens on the TCP engine, and the runtime that starts, changes, drains and counts
 * them. docs/tcp-services.md shows how a service is written.
 *
 *   control thread            makes configurations (struct svc_listener_cfg), which never change
 *                             once they are handed out and are shared by all workers
 *   each worker's thread      owns one struct svc beside its engine: svc_listener_set() and the
 *                             like between vectors, svc_poll() with the engine's tcp_poll()
 *
 * An update makes a new configuration and hands it to every worker; the old one goes away with its
 * last reference.
 *
 * What runs per packet are the services' tcp_ops. They allocate nothing but buffers from
 * tcp_pool() and state by svc_state_get().
 */
#ifndef MILLRACE_SVC_SERVICE_H
#define MILLRACE_SVC_SERVICE_H

#include "../tcp/tcp.h"

struct svc;
struct svc_listener;
struct svc_pool_cfg;

/* ---- Configuration: made by the control thread, immutable, counted ---- */

enum svc_kind {
	/* RFC 862. */
	SVC_ECHO,
	/* RFC 863. */
	SVC_DISCARD,
	/* RFC 864. */
	SVC_CHARGEN,
	/* HTTP/1.1 with configured responses. */
	SVC_HTTP,
	/* TCP proxy to a pool of backends. */
	SVC_PROXY,
	SVC_KINDS,
};

struct svc_chargen_cfg {
	/* Octets after which the connection is closed; 0: no limit. */
	uint64_t limit;
};

struct svc_http_header {
	char *name, *value;
};

struct svc_http_response {
	/* 200 to 599; 0: 200. */
	uint16_t status;
	/* Fields beside Date, Content-Length, Connection and Server, which are the responder's and
	 * refused here. Content-Type is text/plain if none is given and there is a body. */
	struct svc_http_header *headers;
	uint32_t n_headers;
	/* Inline text or a file's contents (svc_http_body_file()). */
	uint8_t *body;
	uint32_t body_len;
	/* How body is freed; NULL: free(). */
	void (*body_free)(void *body);
	/* Where devices find body, if they do: large bodies are then sent without being copied. 0:
	 * they do not, or it is not known. */
	rte_iova_t body_iova;
};

/* Methods of svc_http_cfg.methods. */
enum svc_http_method {
	SVC_HTTP_GET = 1 << 0,
	SVC_HTTP_HEAD = 1 << 1,
	SVC_HTTP_POST = 1 << 2,
	SVC_HTTP_PUT = 1 << 3,
	SVC_HTTP_DELETE = 1 << 4,
	SVC_HTTP_OPTIONS = 1 << 5,
	SVC_HTTP_PATCH = 1 << 6,
};

struct svc_http_route {
	/* Compared with the request's path (no query) octet by octet, 1 to 255 octets from "/" on.
	 */
	char *path;
	/* Also everything below: "/a" takes "/a" and "/a/b", not "/ab". The longest match wins. */
	bool prefix;
	struct svc_http_response response;
};

struct svc_http_cfg {
	/* What no route takes. */
	struct svc_http_response response;
	struct svc_http_route *routes;
	uint32_t n_routes;
	/* Methods that are answered, svc_http_method ored; 0: all of them. Others get 405. */
	uint32_t methods;
	/* Value of the Server field; NULL: none is sent. */
	char *server;
	/* Milliseconds from a request's first octet to its end of header; 0: 10,000. */
	uint32_t header_timeout_ms;
	/* Milliseconds without progress within a request's body; 0: 30,000. */
	uint32_t body_timeout_ms;
	/* Octets of a request's head at most, beyond is 431; 256 to 65,536, 0: 16,384. */
	uint32_t max_head;
	/* Octets of request body at most, beyond is 413; 0: 1 GiB. */
	uint64_t max_body;
	/* Requests after which the connection is closed; 0: no limit. */
	uint32_t max_requests;
};

enum svc_proxy_protocol {
	SVC_PROXY_PROTOCOL_OFF,
	SVC_PROXY_PROTOCOL_V1,
	SVC_PROXY_PROTOCOL_V2,
	/* In only: either version. */
	SVC_PROXY_PROTOCOL_ANY,
};

/* What becomes of a client when no backend can take it. */
enum svc_no_backend {
	/* It is reset as soon as it is accepted. */
	SVC_NO_BACKEND_RESET,
	/* The connection is accepted and closed in order: the port answers. */
	SVC_NO_BACKEND_CLOSE,
	/* It is held for wait_ms; if there is still no backend then, it is reset. */
	SVC_NO_BACKEND_WAIT,
};

struct svc_proxy_cfg {
	/* Pool (pool.h) that takes the connections. It has to be there first. */
	uint32_t pool_id;
	/* Pool when that one is not healthy; 0: none. */
	uint32_t backup_pool_id;
	/* Milliseconds for the connection to a backend, up to 600,000; 0: 5,000. */
	uint32_t connect_timeout_ms;
	/* Other backends that are tried when one does not take the connection, up to 15. */
	uint32_t retries;
	/* A header is expected from the client; connections without one are reset. */
	enum svc_proxy_protocol accept_proxy;
	/* Clients that are believed, others are reset; none: all are. Up to 256. */
	struct tcp_prefix *trusted;
	uint32_t n_trusted;
	/* Milliseconds for it, up to 3,600,000; 0: 3,000. */
	uint32_t accept_proxy_timeout_ms;
	/* A header is sent to the backend: OFF, V1 or V2. */
	enum svc_proxy_protocol send_proxy;
	/* Milliseconds without payload after one side closed its direction; 0: no limit but the
	 * idle timeout. */
	uint32_t half_close_timeout_ms;
	enum svc_no_backend no_backend;
	/* SVC_NO_BACKEND_WAIT, up to 600,000; 0: 5,000. */
	uint32_t wait_ms;
};

/*
 * Every pointer in here is the configuration's own, from malloc(), and freed with it. Zero means
 * the default everywhere.
 */
struct svc_listener_cfg {
	/* Atomic; svc_listener_cfg_hold() and _release(). */
	uint32_t refs;
	/* Not 0, unique among the listeners. */
	uint32_t id;
	char name[64];
	enum svc_kind kind;

	/* As in tcp_listener_params: port in network byte order; family 4, 6 or 0 (either, and
	 * the address all zeroes). */
	uint16_t vrf, family, port;
	struct tcp_addr addr;

	struct tcp_options tcp;
	uint32_t backlog, max_conns, rate, burst, max_per_source;
	struct tcp_prefix *allow, *deny;
	uint32_t n_allow, n_deny;
	bool reset_denied;

	/* Milliseconds without payload in either direction, and of life, after which a connection
	 * is ended; 0: never (http, idle: 60,000). */
	uint32_t idle_timeout_ms, total_timeout_ms;

	union {
		struct svc_chargen_cfg chargen;
		struct svc_http_cfg http;
		struct svc_proxy_cfg proxy;
	};
};

/* Zeroed, one reference; NULL: no memory. */
struct svc_listener_cfg *svc_listener_cfg_new(enum svc_kind kind);
struct svc_listener_cfg *svc_listener_cfg_hold(struct svc_listener_cfg *cfg);
/* Any thread; the last one frees. NULL is fine. */
void svc_listener_cfg_release(struct svc_listener_cfg *cfg);

/* Where a configuration is at fault. */
struct svc_fault {
	/* Dotted, with indices: "http.routes[2].path"; as the fields above are called. */
	char field[96];
	char msg[160];
};
/* 0, or -EINVAL with *fault filled in. What is not validated must not be given to a worker. */
int svc_listener_cfg_check(const struct svc_listener_cfg *cfg, struct svc_fault *fault);
/* Fills *fault in; returns -EINVAL. For services' validate. */
int svc_fault(struct svc_fault *fault, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a copy. 0 or -ENOMEM. */
int svc_http_add_header(struct svc_http_response *r, const char *name, const char *value);
/* A new route with a copy of path, its response empty; NULL: no memory. Pointers to routes got
 * before are not valid any more. */
struct svc_http_route *svc_http_add_route(struct svc_http_cfg *h, const char *path, bool prefix);
int svc_http_set_body(struct svc_http_response *r, const void *body, uint32_t len);
/* Reads a regular file of up to max octets: 0, -EFBIG, -EINVAL (not a file) or another errno.
 * Blocks: the control thread only. */
int svc_http_body_file(struct svc_http_response *r, const char *path, uint32_t max);

/* "echo", "discard", …; SVC_KINDS if there is none of that name. */
const char *svc_kind_name(enum svc_kind kind);
enum svc_kind svc_kind_parse(const char *name);

/* ---- The runtime of one worker ---- */

/* The world of the services of one worker; callbacks as tcp_env's: the worker's thread, no
 * blocking. */
struct svc_env {
	void *ctx;
	/* 64 unpredictable bits. */
	uint64_t (*random)(void *ctx);
	/* Wall-clock seconds since 1970-01-01 UTC. Asked by svc_poll() about once a second. */
	uint64_t (*wall_s)(void *ctx);
	/*
	 * The local address for connections to dst: of the egress, of dst's family. False: none.
	 * May be NULL where there is no proxy.
	 */
	bool (*source)(void *ctx, uint16_t vrf, const struct tcp_addr *dst, struct tcp_addr *src);
	/*
	 * Tells that a listener's readiness changed: a proxy whose pools have a healthy backend, or
	 * no longer have one. Other services are ready as long as they listen. May be NULL.
	 */
	void (*listener_ready)(void *ctx, uint32_t listener_id, bool ready);
	/* Tells of a backend whose health changed, or (backend NULL) of a pool's; only on the
	 * worker with health_checks. May be NULL. */
	void (*pool_health)(void *ctx, uint32_t pool_id, const char *backend, bool up,
			    const char *reason);
	/* Index of the worker among those that share pools, and whether it is the one that does
	 * their health checks. All read the same clock. */
	uint16_t worker;
	bool health_checks;
	/* A connection's state beyond the engine's: this many at most, of each service that needs
	 * any; 0: 65,536. Memory is touched as it is used. */
	uint32_t max_states;
};

/* NULL with errno (ENOMEM). `now` as the engine's. */
struct svc *svc_create(struct tcp_engine *e, const struct svc_env *env, uint64_t now_ns);
/* Aborts all connections, frees everything. Before tcp_engine_destroy(). */
void svc_destroy(struct svc *s);

/*
 * Makes the listener of that id be as cfg says; takes a reference of its own. Connections live on:
 * with the new configuration, or, where kind, address, port, VRF or family changed, as they were.
 * 0, or a negative errno with everything as before: -EADDRINUSE, -ENOMEM, -EINVAL.
 */
int svc_listener_set(struct svc *s, struct svc_listener_cfg *cfg);
/*
 * New connections are refused from now on. drain_ms 0: existing ones are reset. Else they are asked
 * to end (tcp_ops.drain) and what is left drain_ms later is reset. -ENOENT: no such listener.
 * Returns before that is done; svc_poll() goes on with it.
 */
int svc_listener_delete(struct svc *s, uint32_t id, uint32_t drain_ms);

/*
 * Pools of backends (pool.h): set makes the pool of that id be as the sealed cfg says and takes a
 * reference; connections to backends that are no longer in it are drained as these were told to be.
 * 0, or a negative errno with everything as before: -ENOMEM, -EINVAL (not sealed).
 */
int svc_pool_set(struct svc *s, struct svc_pool_cfg *cfg);
/* -ENOENT; -EBUSY: a listener uses it. Connections that are left are reset after drain_ms, 0: at
 * once. */
int svc_pool_delete(struct svc *s, uint32_t id, uint32_t drain_ms);

/* What is due up to now: deadlines, drains, health checks, the Date. Call before tcp_flush(). */
void svc_poll(struct svc *s, uint64_t now_ns);
/* Absolute time at which svc_poll() is due; UINT64_MAX: never. Beside tcp_next_timer(). */
uint64_t svc_next(const struct svc *s);

/* Counters of a listener on this worker, beside the engine's. */
#define SVC_STATS(X)                                                                               \
	X(requests, "HTTP requests whose header was complete and valid")                           \
	X(responses_2xx, "HTTP responses of class 2xx")                                            \
	X(responses_3xx, "HTTP responses of class 3xx")                                            \
	X(responses_4xx, "HTTP responses of class 4xx")                                            \
	X(responses_5xx, "HTTP responses of class 5xx")                                            \
	X(bad_requests, "HTTP requests that broke the protocol or a limit")                        \
	X(timeouts_idle, "connections ended by the idle timeout")                                  \
	X(timeouts_total, "connections ended by the total timeout")                                \
	X(timeouts_request, "connections ended by the header or body timeout")                     \
	X(no_state, "connections ended for want of service state")                                 \
	X(no_buffers, "connections ended for want of packet buffers")                              \
	X(drained, "connections asked to end because the listener was deleted")                    \
	X(aborted, "connections reset because they did not end by then")                           \
	X(proxy_connects, "connections tried to backends")                                         \
	X(proxy_connect_fails, "connections to backends that failed or timed out")                 \
	X(proxy_retries, "connections given to another backend after a failure")                   \
	X(proxy_no_backend, "connections ended because no backend was healthy")                    \
	X(proxy_header_bad, "connections ended because of a bad or late PROXY header")             \
	X(proxy_untrusted, "connections reset, their source may not send a PROXY header")          \
	X(proxy_no_source, "connections to backends not tried for want of an address or port")     \
	X(timeouts_half_close, "connections ended by the half-close timeout")                      \
	X(proxy_bytes_up, "octets spliced from clients to backends")                               \
	X(proxy_bytes_down, "octets spliced from backends to clients")

struct svc_stats {
#define X(name, help) uint64_t name;
	SVC_STATS(X)
#undef X
};
#define X(name, help) +1
enum { SVC_STATS_COUNT = 0 SVC_STATS(X) };
#undef X
/* Names of the fields (operators see dashes for underscores, as of tcp_mib) and what they count. */
extern const char *const svc_stat_names[SVC_STATS_COUNT], *const svc_stat_helps[SVC_STATS_COUNT];

struct svc_listener_stats {
	struct tcp_listener_stats tcp;
	struct svc_stats svc;
	/* Takes connections: false while a proxy has no healthy backend. */
	bool ready;
};
/* -ENOENT: no such listener. Connections of a listener that is being drained count no more. */
int svc_listener_stats(const struct svc *s, uint32_t id, struct svc_listener_stats *out);
/* Connections that are left of a deleted or replaced listener of that id. */
uint32_t svc_listener_left(const struct svc *s, uint32_t id);
/* The listeners' ids, drained ones not among them. Returns how many there are; fills up to n. */
uint32_t svc_listeners(const struct svc *s, uint32_t *ids, uint32_t n);
/* Listeners that are deleted or replaced and still have connections. */
uint32_t svc_draining(const struct svc *s);

/* Which connections; zero means any. */
struct svc_filter {
	/* Listener's id; only_outgoing: those made from here. */
	uint32_t listener_id;
	bool only_outgoing;
	/* Network instance, if by_vrf. */
	bool by_vrf;
	uint16_t vrf;
	/* Network byte order. */
	uint16_t lport, rport;
	/* Prefixes, lengths as tcp_prefix has them; 0: any address. */
	struct tcp_prefix local, remote;
	/* 1 << tcp_state, ored. */
	uint32_t states;
	uint64_t min_age_ms, min_idle_ms;
};
bool svc_filter_match(const struct svc_filter *f, const struct tcp_info *info);
/* As tcp_walk(), of those that match. */
void svc_walk(struct svc *s, const struct svc_filter *f, uint32_t *cursor, uint32_t max_slots,
	      void (*fn)(void *arg, const struct tcp_info *info), void *arg);
/* Resets those that match (tcp_kill()), a slice per call as tcp_walk(). Returns how many; TIME-WAIT
 * is left alone. */
uint32_t svc_kill(struct svc *s, const struct svc_filter *f, uint32_t *cursor, uint32_t max_slots);

/* ---- For services ---- */

/*
 * A service: one constant struct, named in svc_types[] (service.c).
 *
 * The engine calls ops directly. accept gets the struct svc_listener as listener_ctx; the other
 * callbacks find it by svc_listener_of() (connections of listeners only).
 *
 * The service counts its connections: svc_opened() when accept returns true, svc_ended() in closed,
 * and svc_close() or svc_abort() in place of tcp_close() and tcp_abort() on accepted connections.
 * The listener stays valid until the last of them ended.
 */
struct svc_type {
	const char *name;
	/* Octets of state for svc_state_get(); 0: the service has none. */
	uint32_t state_size;
	/* Writes what it has at once: Nagle's algorithm would only delay its last segment. */
	bool no_nagle;
	/* Of the kind-specific part. May be NULL. */
	int (*validate)(const struct svc_listener_cfg *cfg, struct svc_fault *fault);
	/* Frees what the kind-specific part of a configuration points to. May be NULL. */
	void (*cfg_free)(struct svc_listener_cfg *cfg);
	/*
	 * Prepares a listener on this worker for cfg: 0 with *priv set (svc_priv()), or a negative
	 * errno. Called again for each update; then stop() gets the old one. May allocate. What
	 * connections or buffers in flight refer to must be counted by the service itself. Both may
	 * be NULL.
	 */
	int (*start)(struct svc_listener *l, const struct svc_listener_cfg *cfg, void **priv);
	void (*stop)(struct svc_listener *l, void *priv);
	/* State of the service on a worker beyond listeners (the proxy's pools), svc_shared().
	 * All may be NULL. next: as svc_next(). */
	int (*create)(struct svc *s, void **shared);
	void (*destroy)(struct svc *s, void *shared);
	void (*poll)(struct svc *s, void *shared, uint64_t now_ns);
	uint64_t (*next)(const struct svc *s, const void *shared);
	struct tcp_ops ops;
};

extern const struct svc_type svc_echo, svc_discard, svc_chargen, svc_http, svc_proxy;

/* What services may read of their listener; the runtime's to change. */
struct svc_listener {
	struct svc *svc;
	const struct svc_type *type;
	struct svc_listener_cfg *cfg;
	void *priv;
	struct svc_stats stats;
	/* Connections that the service has not ended. */
	uint32_t conns;
	/* Deleted or replaced: end connections at the next good moment. */
	bool draining;
	/* Set by svc_set_ready(). */
	bool ready;
};

static inline struct svc_listener *svc_listener_of(const struct tcp_conn *c)
{
	return tcp_listener_ctx(tcp_conn_listener(c));
}

static inline void svc_opened(struct svc_listener *l)
{
	l->conns++;
}

static inline void svc_ended(struct svc_listener *l)
{
	l->conns--;
}

static inline void svc_close(struct svc_listener *l, struct tcp_conn *c)
{
	svc_ended(l);
	tcp_close(c);
}

static inline void svc_abort(struct svc_listener *l, struct tcp_conn *c)
{
	svc_ended(l);
	tcp_abort(c);
}

struct tcp_engine *svc_engine(const struct svc *s);
const struct svc_env *svc_env(const struct svc *s);
/* The time of the last svc_poll(), not older than the engine's. */
uint64_t svc_now(const struct svc *s);
void *svc_shared(const struct svc *s, enum svc_kind kind);
/* The listener of an id, or NULL; drained ones are not found. */
struct svc_listener *svc_listener_find(const struct svc *s, uint32_t id);
/* Calls fn for every listener of a kind; drained ones are not among them. */
void svc_listener_each(struct svc *s, enum svc_kind kind,
		       void (*fn)(void *arg, struct svc_listener *l), void *arg);
/* Tells env.listener_ready if it changed. */
void svc_set_ready(struct svc_listener *l, bool ready);

/* state_size octets for one connection, aligned to 64, not zeroed; NULL: max_states are in use. */
void *svc_state_get(struct svc *s, enum svc_kind kind);
void svc_state_put(struct svc *s, enum svc_kind kind, void *state);

/* Starts the timer of a connection for the listener's idle and total timeout, if it has any. */
void svc_timer_start(struct svc_listener *l, struct tcp_conn *c);
/*
 * For the timer callback: true (and counted) if one of them passed and the service has to end the
 * connection, as svc_expire() does; else the timer runs again. It is not set with each packet: it
 * looks at the connection's age and idle time when it goes off.
 */
bool svc_timer_expired(struct svc_listener *l, struct tcp_conn *c);
/* Milliseconds until then, at least 1; 0: one has passed (not counted); UINT32_MAX: none is set.
 * For services that have deadlines of their own to run by the same timer. */
uint32_t svc_timer_left(struct svc_listener *l, struct tcp_conn *c, bool *total);
/* Ends a connection whose time is up: orderly if the peer took everything, else by reset. */
void svc_expire(struct svc_listener *l, struct tcp_conn *c);

/* The value of a Date field (RFC 9110 section 5.6.7), 29 octets, of the last svc_poll(). */
const char *svc_date(const struct svc *s);

#endif
