// Vnfctl drives a Millrace appliance over its gRPC API, from the box or from anywhere.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"millrace/cmd/vnfctl/internal/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Environment{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version,
	})
	stop()
	os.Exit(code)
}
