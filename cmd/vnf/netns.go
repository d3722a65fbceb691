package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns"

// ensureNetns makes a named network namespace, as `ip netns add` does, with its loopback up. It is no error if it is there.
func ensureNetns(name string) (made bool, err error) {
	if h, err := netns.GetFromName(name); err == nil {
		defer func() { _ = h.Close() }()
		return false, loopbackUp(h)
	}
	// What is there but no namespace is what a reboot or a deletion half done has left.
	if err := os.Remove(filepath.Join(netnsDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, in whatever namespace it is
		h, err := netns.NewNamed(name)
		if err == nil {
			err = errors.Join(loopbackUp(h), h.Close())
		}
		result <- err
	}()
	return true, <-result
}

func deleteNetns(name string) error { return netns.DeleteNamed(name) }

func loopbackUp(h netns.NsHandle) error {
	n, err := netlink.NewHandleAt(h)
	if err != nil {
		return err
	}
	defer n.Close()
	lo, err := n.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return n.LinkSetUp(lo)
}

// inNetns calls f with the calling thread in a named network namespace; with no name, where it is. The goroutine has to be locked to
// its thread.
func inNetns(name string, f func() error) error {
	if name == "" {
		return f()
	}
	here, err := netns.Get()
	if err != nil {
		return fmt.Errorf("our network namespace: %w", err)
	}
	defer func() { _ = here.Close() }()
	there, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(there), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	return errors.Join(f(), unix.Setns(int(here), unix.CLONE_NEWNET))
}
