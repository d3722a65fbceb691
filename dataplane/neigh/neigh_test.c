/* SPDX-License-Identifier: Apache-2.0 */
#include "test_util.h"

int main(void)
{
	box_init();
	test_parsers();
	test_tables();
	test_protocols();
	puts("neigh: ok");
	return 0;
}
