package grpcserver_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func TestCommits(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	apply := func(doc string, confirm time.Duration) *vnfv1.ApplyConfigResponse {
		t.Helper()
		req := &vnfv1.ApplyConfigRequest{Document: []byte(doc), Merge: true, Comment: "a word"}
		if confirm != 0 {
			req.Confirm = durationpb.New(confirm)
		}
		resp, err := c.ApplyConfig(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := apply("network-instances: [{name: default, bgp: {asn: 65001, neighbors: [{address: 192.0.2.7, remote-as: 65002, password: hunter2}]}}]", 0)
	info, err := c.GetSystemInfo(ctx, &vnfv1.GetSystemInfoRequest{})
	if err != nil || info.GetConfigRevision() != first.GetRevision() {
		t.Errorf("%v, %v", info, err)
	}
	one, err := c.GetCommit(ctx, &vnfv1.GetCommitRequest{})
	if err != nil || one.GetId() != first.GetCommit() || one.GetComment() != "a word" || one.GetApi() != "grpc" || one.GetWho() == "" || one.GetPeer() == "" || !one.GetInForce() {
		t.Errorf("%v, %v", one, err)
	}
	diff, err := c.DiffConfig(ctx, &vnfv1.DiffConfigRequest{From: one.GetBase()})
	if err != nil || diff.GetChangeCount() != one.GetChangeCount() {
		t.Errorf("%v, %v", diff, err)
	}
	secret := 0
	for _, d := range diff.GetChanges() {
		if d.GetSecret() {
			secret++
		}
	}
	everything := diff.String() + one.String() + first.String()
	for _, f := range []vnfv1.ConfigFormat{vnfv1.ConfigFormat_CONFIG_FORMAT_YAML, vnfv1.ConfigFormat_CONFIG_FORMAT_RFC7951} {
		d, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: f})
		if err != nil {
			t.Fatal(err)
		}
		everything += string(d.GetDocument())
	}
	if secret != 1 || strings.Contains(everything, "hunter2") {
		t.Errorf("%d secrets in %s", secret, everything)
	}

	// The tree goes back in as it came out.
	doc, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: vnfv1.ConfigFormat_CONFIG_FORMAT_RFC7951, WithSecrets: true})
	if err != nil || !json.Valid(doc.GetDocument()) || !strings.Contains(string(doc.GetDocument()), "hunter2") {
		t.Fatalf("%s, %v", doc.GetDocument(), err)
	}
	back, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: doc.GetDocument()})
	if err != nil || back.GetChangeCount() != 0 || back.GetCommit() != first.GetCommit() {
		t.Errorf("%v, %v", back, err)
	}

	waits := apply("system: {hostname: two}", time.Hour)
	list, err := c.ListCommits(ctx, &vnfv1.ListCommitsRequest{})
	if err != nil || len(list.GetCommits()) != 3 || list.GetPending() != waits.GetCommit() || waits.GetConfirmation().GetRevert() != first.GetCommit() {
		t.Errorf("%v, %v", list, err)
	}
	if done, err := c.ConfirmCommit(ctx, &vnfv1.ConfirmCommitRequest{Id: waits.GetConfirmation().GetId()}); err != nil || done.GetCommit() != waits.GetCommit() {
		t.Errorf("%v, %v", done, err)
	}
	if one, err = c.GetCommit(ctx, &vnfv1.GetCommitRequest{Commit: waits.GetCommit()}); err != nil || one.GetConfirmation().GetConfirmed() == nil {
		t.Errorf("%v, %v", one, err)
	}
}

func TestCommitsRefused(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	_, err := c.ConfirmCommit(ctx, &vnfv1.ConfirmCommitRequest{})
	wantError(t, err, codes.FailedPrecondition, "")
	_, err = c.CancelCommit(ctx, &vnfv1.CancelCommitRequest{})
	wantError(t, err, codes.FailedPrecondition, "")
	if _, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: []byte("system: {hostname: x}"), Merge: true, Confirm: durationpb.New(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		field string
		code  codes.Code
		call  func() error
	}{
		{"", codes.FailedPrecondition, func() error {
			_, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: []byte("{}")})
			return err
		}},
		{"", codes.FailedPrecondition, func() error {
			_, err := c.RollbackConfig(ctx, &vnfv1.RollbackConfigRequest{Commit: 1})
			return err
		}},
		{"", codes.FailedPrecondition, func() error {
			_, err := vnfv1.NewInterfaceServiceClient(b.Dial(t)).DeleteInterface(ctx, &vnfv1.DeleteInterfaceRequest{Name: "eth2"})
			return err
		}},
		{"id", codes.InvalidArgument, func() error {
			_, err := c.ConfirmCommit(ctx, &vnfv1.ConfirmCommitRequest{Id: "other"})
			return err
		}},
		{"id", codes.InvalidArgument, func() error {
			_, err := c.CancelCommit(ctx, &vnfv1.CancelCommitRequest{Id: "other"})
			return err
		}},
		{"commit", codes.NotFound, func() error { _, err := c.GetCommit(ctx, &vnfv1.GetCommitRequest{Commit: 9}); return err }},
		{"commit", codes.NotFound, func() error { _, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{Commit: 9}); return err }},
		{"from", codes.NotFound, func() error { _, err := c.DiffConfig(ctx, &vnfv1.DiffConfigRequest{From: 9}); return err }},
		{"to", codes.NotFound, func() error { _, err := c.DiffConfig(ctx, &vnfv1.DiffConfigRequest{To: 9}); return err }},
		{"to", codes.InvalidArgument, func() error {
			_, err := c.DiffConfig(ctx, &vnfv1.DiffConfigRequest{To: 1, Document: []byte("{}")})
			return err
		}},
		{"interfaces[e].mtu", codes.InvalidArgument, func() error {
			_, err := c.DiffConfig(ctx, &vnfv1.DiffConfigRequest{Document: []byte("interfaces: [{name: e, type: loopback, mtu: 5}]")})
			return err
		}},
		{"commit", codes.InvalidArgument, func() error { _, err := c.RollbackConfig(ctx, &vnfv1.RollbackConfigRequest{}); return err }},
		{"confirm", codes.InvalidArgument, func() error {
			_, err := c.RollbackConfig(ctx, &vnfv1.RollbackConfigRequest{Commit: 1, Confirm: durationpb.New(48 * time.Hour)})
			return err
		}},
		{"comment", codes.InvalidArgument, func() error {
			_, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Comment: strings.Repeat("x", 256)})
			return err
		}},
		{"comment", codes.InvalidArgument, func() error {
			_, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Comment: "a\nb"})
			return err
		}},
		{"format", codes.InvalidArgument, func() error { _, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: 9}); return err }},
		{"/system/config/hostname", codes.InvalidArgument, func() error {
			_, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{DryRun: true, Document: []byte(`{"openconfig-system:system":{"config":{"hostname":5}}}`)})
			return err
		}},
		{"/interfaces/interface[name=e]/config/mtu", codes.InvalidArgument, func() error {
			_, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{DryRun: true, Merge: true, Document: []byte(
				`{"openconfig-interfaces:interfaces":{"interface":[{"name":"e","config":{"name":"e","type":"iana-if-type:softwareLoopback","mtu":5}}]}}`)})
			return err
		}},
	} {
		wantError(t, tc.call(), tc.code, tc.field)
	}
	if resp, err := c.CancelCommit(ctx, &vnfv1.CancelCommitRequest{}); err != nil || resp.GetChangeCount() != 1 {
		t.Errorf("%v, %v", resp, err)
	}
}
