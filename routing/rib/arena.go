package rib

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// arena hands out slots by index from fixed chunks, so that growing copies
// nothing and the garbage collector sees few pointers. Index 0 is never handed
// out and stands for "none".
type arena[T any] struct {
	chunks []*[chunkSize]T
	free   []uint32
	next   uint32
}

func (a *arena[T]) at(i uint32) *T { return &a.chunks[i>>chunkBits][i&(chunkSize-1)] }

// alloc returns a zeroed slot.
func (a *arena[T]) alloc() uint32 {
	if n := len(a.free); n > 0 {
		i := a.free[n-1]
		a.free = a.free[:n-1]
		return i
	}
	if a.next == 0 {
		a.next = 1
	}
	if int(a.next>>chunkBits) == len(a.chunks) {
		a.chunks = append(a.chunks, new([chunkSize]T))
	}
	i := a.next
	a.next++
	return i
}

func (a *arena[T]) release(i uint32) {
	var zero T
	*a.at(i) = zero
	a.free = append(a.free, i)
	// An arena that has become empty gives its memory back.
	if a.live() == 0 && len(a.chunks) > 1 {
		*a = arena[T]{}
	}
}

// live is the number of slots in use.
func (a *arena[T]) live() int {
	if a.next == 0 {
		return 0
	}
	return int(a.next) - 1 - len(a.free)
}

// end is one more than the highest index ever handed out.
func (a *arena[T]) end() uint32 { return a.next }
