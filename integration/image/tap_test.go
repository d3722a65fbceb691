package image

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"millrace/internal/lab"
)

// dialIn connects from a namespace.
func dialIn(ctx context.Context, ns *lab.NS, address string) (net.Conn, error) {
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
		return err
	})
	return c, err
}

// openTap makes the tap eth0 of a namespace, or attaches to it again, with so many queues. It outlives who has it open, as a cable does
// the machine that is switched off.
func openTap(ns *lab.NS, queues int) ([]*os.File, error) {
	const name = "eth0"
	var files []*os.File
	err := ns.Do(func() error {
		for range queues {
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
			if err != nil {
				return fmt.Errorf("/dev/net/tun: %w", err)
			}
			f := os.NewFile(uintptr(fd), "tap")
			files = append(files, f)
			ifr, err := unix.NewIfreq(name)
			if err != nil {
				return err
			}
			flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
			if queues > 1 {
				flags |= unix.IFF_MULTI_QUEUE
			}
			ifr.SetUint16(flags)
			if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(ifr))); e != 0 {
				return fmt.Errorf("make a tap in %s: %w", ns.Name, e)
			}
			if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
				return fmt.Errorf("keep the tap in %s: %w", ns.Name, err)
			}
		}
		return nil
	})
	if err == nil {
		// What the guest gets has its checksums and the size of the wire.
		_, err = ns.Output("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
	}
	if err != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, err
	}
	return files, nil
}
