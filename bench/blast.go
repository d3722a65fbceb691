// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"millrace/internal/lab"
)

// Frames handed to the kernel in one system call.
const blastBatch = 64

// blaster sends the same frames again and again as fast as the kernel takes them.
type blaster struct {
	fd   int
	sent atomic.Uint64
	end  atomic.Bool
	wg   sync.WaitGroup
	err  error
}

type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// startBlaster begins to send on a device of a namespace. The number of frames is a multiple of blastBatch.
func startBlaster(ns *lab.NS, dev string, frames [][]byte) (*blaster, error) {
	fd, err := packetSocket(ns, dev, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("PACKET_QDISC_BYPASS: %w", err)
	}
	b := &blaster{fd: fd}
	b.wg.Go(func() { b.err = b.run(frames) })
	return b, nil
}

func (b *blaster) run(frames [][]byte) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	iov := make([]unix.Iovec, len(frames))
	msgs := make([]mmsghdr, len(frames))
	for i, f := range frames {
		iov[i].Base = &f[0]
		iov[i].SetLen(len(f))
		msgs[i].hdr.Iov = &iov[i]
		msgs[i].hdr.SetIovlen(1)
	}
	next := 0
	for !b.end.Load() {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&msgs[next])),
			uintptr(min(blastBatch, len(msgs)-next)), 0, 0, 0)
		switch errno {
		case 0:
			b.sent.Add(uint64(n))
			next = (next + int(n)) % len(msgs)
		case unix.ENOBUFS, unix.EAGAIN, unix.EINTR:
			// The other end's queue is full: that is what we are here for.
		default:
			return fmt.Errorf("send: %w", errno)
		}
	}
	runtime.KeepAlive(frames)
	return nil
}

func (b *blaster) stop() error {
	b.end.Store(true)
	b.wg.Wait()
	return unix.Close(b.fd)
}
