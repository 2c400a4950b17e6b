package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// Releases and `make build` set these with -ldflags "-X main.version=…". What they
// leave empty is what the Go toolchain recorded.
var (
	version   string
	commit    string
	buildDate string // RFC 3339
)

// A buildVersion says which build of the program this is.
type buildVersion struct {
	Version string `json:"version"`
	// Commit is the commit that it was built from; "" if the toolchain knew none.
	Commit string `json:"commit,omitempty"`
	// CommitDate is when the commit was made, and Modified says that the source
	// tree was not exactly that commit.
	CommitDate string `json:"commitDate,omitempty"`
	Modified   bool   `json:"modified,omitempty"`
	// BuildDate is when the program was built; "" if the build did not record it.
	BuildDate string `json:"buildDate,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
}

// readVersion combines what the linker was told with what the toolchain recorded.
func readVersion() buildVersion {
	v := buildVersion{Version: version, Commit: commit, BuildDate: buildDate, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		v.Version = cmp.Or(v.Version, "unknown")
		return v
	}
	v.Version = cmp.Or(v.Version, info.Main.Version, "unknown")
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = cmp.Or(v.Commit, s.Value)
		case "vcs.time":
			v.CommitDate = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v buildVersion) writeText(w io.Writer) error {
	commit := cmp.Or(v.Commit, "unknown")
	if v.Modified {
		commit += ", with changes"
	}
	if v.CommitDate != "" {
		commit += ", of " + v.CommitDate
	}
	_, err := fmt.Fprintf(w, "gatehouse %s\ncommit: %s\nbuilt:  %s\ngo:     %s %s\n",
		v.Version, commit, cmp.Or(v.BuildDate, "unknown"), v.Go, v.Platform)
	return err
}

type versionCommand struct {
	outputFlag
}

// Help is what --help shows below the flags.
func (versionCommand) Help() string {
	return `Examples:

  gatehouse version
  gatehouse version --output json`
}

// Run prints the version, the commit and the date of the build.
func (c versionCommand) Run(stdout io.Writer) error {
	if c.Output == outputJSON {
		return printJSON(stdout, readVersion())
	}
	return readVersion().writeText(stdout)
}

// A versionFlag is --version, which prints what the command version does.
type versionFlag bool

// BeforeReset ends the program before anything else is looked at.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	err := readVersion().writeText(app.Stdout)
	app.Exit(0)
	return err
}
