package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// fieldNote is where a flag keeps the name of the message's field that it sets, for update masks.
const fieldNote = "field"

// enumFlag reads a word of an enum.
type enumFlag[E protoreflect.Enum] struct {
	name string
	to   *E
}

func (v enumFlag[E]) Set(s string) error {
	e, err := parseEnum[E](v.name, s)
	if err != nil {
		return errors.New("none of " + strings.Join(words(e), ", "))
	}
	*v.to = e
	return nil
}
func (v enumFlag[E]) String() string {
	if v.to == nil {
		return ""
	}
	return short(*v.to)
}
func (enumFlag[E]) Type() string { return "word" }

// durationFlag reads a time; it stays absent unless it is given.
type durationFlag struct{ to **durationpb.Duration }

func (v durationFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("not a time such as 30s, 1m30s or 500ms")
	}
	*v.to = durationpb.New(d)
	return nil
}
func (v durationFlag) String() string {
	if v.to == nil || *v.to == nil {
		return ""
	}
	return (*v.to).AsDuration().String()
}
func (durationFlag) Type() string { return "time" }

// switchFlag reads true or false; it stays absent unless it is given.
type switchFlag struct{ to **bool }

func (v switchFlag) Set(s string) error {
	switch strings.ToLower(s) {
	case "true", "on", "yes", "1":
		*v.to = proto.Bool(true)
	case "false", "off", "no", "0":
		*v.to = proto.Bool(false)
	default:
		return errors.New("neither true nor false")
	}
	return nil
}
func (v switchFlag) String() string {
	if v.to == nil || *v.to == nil {
		return ""
	}
	return yes(**v.to)
}
func (switchFlag) Type() string     { return "bool" }
func (switchFlag) IsBoolFlag() bool { return true }

// fields registers flags that set fields of a message.
type fields struct {
	c *cobra.Command
	// prefix of the fields' names: "options.".
	prefix string
}

func (f fields) note(flag, field string) {
	f.c.Flags().Lookup(flag).Annotations = map[string][]string{fieldNote: {f.prefix + field}}
}

func (f fields) number(flag, field string, to *uint32, usage string) {
	f.c.Flags().Uint32Var(to, flag, 0, usage)
	f.note(flag, field)
}

func (f fields) large(flag, field string, to *uint64, usage string) {
	f.c.Flags().Uint64Var(to, flag, 0, usage)
	f.note(flag, field)
}

func (f fields) text(flag, field string, to *string, usage string) {
	f.c.Flags().StringVar(to, flag, "", usage)
	f.note(flag, field)
}

func (f fields) list(flag, field string, to *[]string, usage string) {
	f.c.Flags().StringSliceVar(to, flag, nil, usage)
	f.note(flag, field)
}

func (f fields) flag(flag, field string, to *bool, usage string) {
	f.c.Flags().BoolVar(to, flag, false, usage)
	f.note(flag, field)
}

func (f fields) switched(flag, field string, to **bool, usage string) {
	f.c.Flags().Var(switchFlag{to}, flag, usage)
	f.c.Flags().Lookup(flag).NoOptDefVal = "true"
	f.note(flag, field)
}

func (f fields) span(flag, field string, to **durationpb.Duration, usage string) {
	f.c.Flags().Var(durationFlag{to}, flag, usage)
	f.note(flag, field)
}

// word registers a flag that is one of an enum's words; as a function since methods have no type parameters.
func word[E protoreflect.Enum](f fields, flag, field string, to *E, usage string) {
	f.c.Flags().Var(enumFlag[E]{flag, to}, flag, usage+": "+strings.Join(words(*to), ", "))
	fixed(f.c, flag, words(*to))
	f.note(flag, field)
}

// changed is a mask of the fields whose flags are given.
func changed(c *cobra.Command) *fieldmaskpb.FieldMask {
	m := &fieldmaskpb.FieldMask{}
	c.Flags().Visit(func(f *pflag.Flag) {
		m.Paths = append(m.Paths, f.Annotations[fieldNote]...)
	})
	return m
}
