package inventory

import (
	"bytes"
	"cmp"
	"strings"
)

// parseOSRelease reads os-release(5).
func parseOSRelease(f *file) error {
	text, err := f.text(64 << 10)
	if err != nil {
		return err
	}
	s := new(System)
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !ok {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if !validText(value) {
			continue
		}
		switch key {
		case "ID":
			s.ID = strings.ToLower(value)
		case "VERSION_ID":
			s.Version = value
		case "PRETTY_NAME":
			s.Name = value
		}
	}
	if s.ID != "" {
		f.system = s
	}
	return nil
}

// A paragraph has the fields of a package in the list of a package manager.
type paragraph map[string]string

// paragraphs calls each with the fields that are wanted of each paragraph. Fields are
// separated from their values by a colon; a line that begins with a space goes on with the
// field before, and is left out.
func paragraphs(text []byte, wanted string, each func(paragraph)) {
	now := paragraph{}
	flush := func() {
		if len(now) > 0 {
			each(now)
			now = paragraph{}
		}
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			flush()
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && line[0] != ' ' && line[0] != '\t' && len(value) <= maxMetadata && strings.Contains(wanted, " "+string(name)+" ") {
			now[string(name)] = string(bytes.TrimSpace(value))
		}
	}
	flush()
}

// parseDpkg reads dpkg's status file (Debian Policy Manual, chapter 5; dpkg-query(1)).
func parseDpkg(f *file) error {
	f.vital = true
	text, err := f.text(maxList)
	if err != nil {
		return err
	}
	paragraphs(text, " Package Version Source Architecture Status ", func(p paragraph) {
		if status, ok := p["Status"]; ok && !strings.HasSuffix(status, " installed") {
			return
		}
		source, version, _ := strings.Cut(p["Source"], " ")
		f.add(Package{
			Name: p["Package"], Version: p["Version"], Arch: p["Architecture"], Manager: managerOS,
			Source: cmp.Or(source, p["Package"]), SourceVersion: cmp.Or(strings.Trim(version, " ()"), p["Version"]),
		})
	})
	return nil
}

// parseApk reads apk's list of installed packages (Alpine Linux, "Apk spec").
func parseApk(f *file) error {
	f.vital = true
	text, err := f.text(maxList)
	if err != nil {
		return err
	}
	paragraphs(text, " P V A o ", func(p paragraph) {
		f.add(Package{Name: p["P"], Version: p["V"], Arch: p["A"], Manager: managerOS, Source: cmp.Or(p["o"], p["P"]), SourceVersion: p["V"]})
	})
	return nil
}

// isRPM reports whether a file is a database of RPM.
func isRPM(p string) bool {
	for _, dir := range []string{"var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"} {
		if name, ok := strings.CutPrefix(p, dir); ok {
			return name == "rpmdb.sqlite" || name == "Packages" || name == "Packages.db"
		}
	}
	return false
}

// parseRPM only says that the packages of RPM are not read.
func parseRPM(*file) error { return errNotReadable }
