package gnmiserver

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/protobuf/types/known/durationpb"
)

// words splits a command as a shell does: blanks, quotes, and backslashes at the ends of lines.
func words(line string) []string {
	var out []string
	line = strings.ReplaceAll(line, "\\\n", " ")
	for _, m := range regexp.MustCompile(`(?:'[^']*'|[^\s'])+`).FindAllString(line, -1) {
		out = append(out, strings.ReplaceAll(m, "'", ""))
	}
	return out
}

// guideCommand is a command of gnmic as far as the guide uses it.
type guideCommand struct {
	t     *testing.T
	b     *bed
	files map[string]string
}

func (g guideCommand) typed(kind, text string) *gpb.TypedValue {
	switch kind {
	case "string":
		return strVal(text)
	case "uint":
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			g.t.Fatal(err)
		}
		return uintVal(n)
	case "json_ietf":
		return jsonVal(text)
	}
	g.t.Fatalf("type %s", kind)
	return nil
}

func (g guideCommand) set(args []string) {
	req := &gpb.SetRequest{}
	var path string
	var c epb.Commit
	var rollback *durationpb.Duration
	action := ""
	for i := 0; i < len(args); i++ {
		flag := args[i]
		val := func() string { i++; return args[i] }
		switch flag {
		case "--update", "--replace":
			p := strings.SplitN(val(), ":::", 3)
			u := &gpb.Update{Path: pathOf(p[0]), Val: g.typed(p[1], p[2])}
			if flag == "--update" {
				req.Update = append(req.Update, u)
			} else {
				req.Replace = append(req.Replace, u)
			}
		case "--update-path", "--replace-path":
			path = val()
		case "--update-value", "--update-file", "--replace-value", "--replace-file":
			doc := val()
			if strings.HasSuffix(flag, "-file") {
				if doc = g.files[doc]; doc == "" {
					g.t.Fatalf("the guide has no file %s", args[i])
				}
			}
			u := update(path, doc)
			if strings.HasPrefix(flag, "--update") {
				req.Update = append(req.Update, u)
			} else {
				req.Replace = append(req.Replace, u)
			}
		case "--delete":
			req.Delete = append(req.Delete, pathOf(val()))
		case "--commit-id":
			c.Id = val()
		case "--commit-request", "--commit-confirm", "--commit-cancel":
			action = flag
		case "--rollback-duration":
			d, err := time.ParseDuration(val())
			if err != nil {
				g.t.Fatal(err)
			}
			rollback = durationpb.New(d)
		default:
			g.t.Fatalf("flag %s", flag)
		}
	}
	if c.Id != "" {
		switch action {
		case "--commit-request":
			c.Action = &epb.Commit_Commit{Commit: &epb.CommitRequest{RollbackDuration: rollback}}
		case "--commit-confirm":
			c.Action = &epb.Commit_Confirm{Confirm: &epb.CommitConfirm{}}
		case "--commit-cancel":
			c.Action = &epb.Commit_Cancel{Cancel: &epb.CommitCancel{}}
		default:
			c.Action = &epb.Commit_SetRollbackDuration{SetRollbackDuration: &epb.CommitSetRollbackDuration{RollbackDuration: rollback}}
		}
		req.Extension = commitExt(&c)
	}
	if _, err := g.b.client.Set(g.b.ctx, req); err != nil {
		g.t.Errorf("gnmic set %s: %v", strings.Join(args, " "), err)
	}
}

func (g guideCommand) get(args []string) {
	req := &gpb.GetRequest{Encoding: gpb.Encoding_JSON_IETF}
	for i := 0; i+1 < len(args); i += 2 {
		switch args[i] {
		case "--path":
			req.Path = append(req.Path, pathOf(args[i+1]))
		case "--type":
			req.Type = gpb.GetRequest_DataType(gpb.GetRequest_DataType_value[strings.ToUpper(args[i+1])])
		case "--encoding":
			req.Encoding = gpb.Encoding(gpb.Encoding_value[strings.ToUpper(args[i+1])])
		case "--depth":
			n, err := strconv.Atoi(args[i+1])
			if err != nil {
				g.t.Fatal(err)
			}
			req.Extension = depth(uint32(n))
		default:
			g.t.Fatalf("flag %s", args[i])
		}
	}
	resp, err := g.b.client.Get(g.b.ctx, req)
	if err != nil {
		g.t.Errorf("gnmic get %s: %v", strings.Join(args, " "), err)
		return
	}
	for _, n := range resp.GetNotification() {
		if len(n.GetUpdate()) == 0 {
			g.t.Errorf("gnmic get %s gives nothing", strings.Join(args, " "))
		}
	}
}

// The commands of docs/gnmi.md work, one after the other: those that read before anything is configured come last.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/gnmi.md")
	if err != nil {
		t.Fatal(err)
	}
	g := guideCommand{t: t, b: newStateBed(t, "eth1", "eth2"), files: map[string]string{}}
	g.b.set(&gpb.SetRequest{Delete: []*gpb.Path{{}}})
	blocks := regexp.MustCompile("(?s)```(sh|json)\n(.*?)```").FindAllStringSubmatchIndex(string(text), -1)
	name := regexp.MustCompile("`([a-z]+\\.json)`")
	var later [][]string
	commands, started := 0, false
	for _, m := range blocks {
		kind, body := string(text[m[2]:m[3]]), string(text[m[4]:m[5]])
		if kind == "json" {
			if !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %s", body)
			}
			all := name.FindAllStringSubmatch(string(text[:m[0]]), -1)
			g.files[all[len(all)-1][1]] = body
			continue
		}
		for _, line := range strings.Split(strings.ReplaceAll(body, "\\\n", " "), "\n") {
			w := words(line)
			if len(w) < 2 || w[0] != "gnmic" {
				continue
			}
			commands++
			switch w[1] {
			case "set":
				started = true
				g.set(w[2:])
			case "get":
				if started {
					g.get(w[2:])
				} else {
					later = append(later, w[2:])
				}
			}
		}
	}
	// What the part on reading shows is there once there are interfaces again.
	g.set([]string{"--update-path", "/interfaces", "--update-file", "interfaces.json"})
	for _, args := range later {
		g.get(args)
	}
	if commands < 20 {
		t.Errorf("only %d commands were found", commands)
	}
}
