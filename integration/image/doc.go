// Package image has the tests that boot the VM image under QEMU, with the firmware, NICs and metadata of clouds. `make test-image`
// runs them; without MILLRACE_IMAGE they are skipped.
package image
