package control

import (
	"log/slog"
	"testing"
	"time"

	grpcserver "millrace/server/grpc"
)

func TestAlarmsExpire(t *testing.T) {
	a := newAlarms(slog.New(slog.DiscardHandler))
	now := time.Unix(1000, 0)
	a.now = func() time.Time { return now }
	a.raise("stays", grpcserver.Major, "x", "until it is cleared")
	a.raiseFor(time.Minute, "full", grpcserver.Critical, "table", "full")
	now = now.Add(50 * time.Second)
	a.raiseFor(time.Minute, "full", grpcserver.Critical, "table", "full")
	now = now.Add(50 * time.Second)
	a.expire()
	if l := a.Alarms(); len(l) != 2 || l[0].ID != "full" || !l[0].Since.Equal(time.Unix(1000, 0)) {
		t.Fatalf("told again, it is to stay: %+v", l)
	}
	now = now.Add(11 * time.Second)
	a.expire()
	if l := a.Alarms(); len(l) != 1 || l[0].ID != "stays" {
		t.Fatalf("not told again, it is to end: %+v", l)
	}
}
