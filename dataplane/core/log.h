/* SPDX-License-Identifier: Apache-2.0 */
/* Logging of the control side: one line an event on standard error, with time and level. Never from
 * a node. */
#ifndef MILLRACE_CORE_LOG_H
#define MILLRACE_CORE_LOG_H

#include <rte_log.h>

extern int dp_logtype;

#define DP_LOG(level, ...) rte_log(RTE_LOG_##level, dp_logtype, __VA_ARGS__)
#define LOG_ERR(fmt, ...)  DP_LOG(ERR, "level=error msg=\"" fmt "\"\n", ##__VA_ARGS__)
#define LOG_WARN(fmt, ...) DP_LOG(WARNING, "level=warn msg=\"" fmt "\"\n", ##__VA_ARGS__)
#define LOG_INFO(fmt, ...) DP_LOG(INFO, "level=info msg=\"" fmt "\"\n", ##__VA_ARGS__)
#define LOG_DBG(fmt, ...)  DP_LOG(DEBUG, "level=debug msg=\"" fmt "\"\n", ##__VA_ARGS__)

#endif
