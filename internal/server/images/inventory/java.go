package inventory

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// The bounds of an archive of Java.
const (
	maxArchive    = 128 << 20 // bytes
	maxInner      = 32 << 20  // of an archive in it
	maxInnerTotal = 256 << 20 // of all archives in it
	maxMembers    = 100_000   // of one
	maxProperties = 64 << 10
)

func isJavaArchive(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear":
		return true
	}
	return false
}

// parseJava reads the pom.properties that Maven and Gradle's plugins put into archives, also
// into those in an archive, as programs of Spring Boot have them. An archive without one is
// not known: its file name does not have the group.
func parseJava(f *file) error {
	text, err := f.text(maxArchive)
	if err != nil {
		return err
	}
	left := int64(maxInnerTotal)
	return f.archive(text, &left, true)
}

func (f *file) archive(text []byte, left *int64, outer bool) error {
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return errors.New("it is not an archive of Java")
	}
	if len(z.File) > maxMembers {
		return fmt.Errorf("it has %d members, and at most %d are read", len(z.File), maxMembers)
	}
	for _, m := range z.File {
		properties := strings.HasPrefix(m.Name, "META-INF/maven/") && strings.HasSuffix(m.Name, "/pom.properties")
		inner := outer && isJavaArchive(m.Name)
		if !properties && !inner {
			continue
		}
		limit := int64(maxProperties)
		if inner {
			limit = maxInner
		}
		if limit = min(limit, *left); limit <= 0 {
			return errors.New("the archives in it are too large")
		}
		content, err := member(m, limit)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		*left -= int64(len(content))
		if inner {
			if err := f.archive(content, left, false); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			continue
		}
		f.properties(content)
	}
	return nil
}

func member(m *zip.File, limit int64) ([]byte, error) {
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return content, err
}

func (f *file) properties(content []byte) {
	values := map[string]string{}
	for line := range bytes.Lines(content) {
		if key, value, ok := strings.Cut(string(line), "="); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if values["groupId"] != "" && values["artifactId"] != "" {
		f.language(Maven, values["groupId"]+":"+values["artifactId"], values["version"])
	}
}
