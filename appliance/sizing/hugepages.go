package sizing

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// How often more hugepages are asked for as long as that yields any, and the pause between.
const (
	reserveTries = 5
	reservePause = 200 * time.Millisecond
)

// reserve makes the kernel have so many hugepages of 2 MiB, and says how many it has. Fewer than now gives back what is free of them.
// Memory that is in small pieces is put together first: caches are dropped and the rest is compacted.
func (y system) reserve(ctx context.Context, node, want int) (int, error) {
	file := "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
	if node >= 0 {
		if f := fmt.Sprintf("/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages", node); y.exists(f) {
			file = f
		}
	}
	have, err := y.hugepages(file)
	if err != nil {
		return 0, fmt.Errorf("this kernel has no hugepages of 2 MiB: %w", err)
	}
	for try := range reserveTries {
		if have == want {
			return have, nil
		}
		if try > 0 {
			// Where this can't be done the kernel still compacts by itself, less.
			_ = y.write("/proc/sys/vm/drop_caches", "3")
			_ = y.write("/proc/sys/vm/compact_memory", "1")
			select {
			case <-ctx.Done():
				return have, context.Cause(ctx)
			case <-time.After(reservePause):
			}
		}
		if err := y.write(file, strconv.Itoa(want)); err != nil {
			return have, fmt.Errorf("reserve %d hugepages of 2 MiB: %w", want, err)
		}
		before := have
		if have, err = y.hugepages(file); err != nil {
			return 0, fmt.Errorf("reserve %d hugepages of 2 MiB: %w", want, err)
		}
		if have > want || try > 1 && have <= before {
			break
		}
	}
	return have, nil
}

func (y system) hugepages(file string) (int, error) {
	text, err := y.read(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
