package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCopyRows compares the rows of copies with those that the public APIs write.
func TestCopyRows(t *testing.T) { testCopyRows(t, quick(t, "")) }

func testCopyRows(t *testing.T, o *options) {
	i := &installations{}
	defer func() {
		if err := i.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := i.open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := installation{repositories: 2, packages: 2, users: 3}
	called, copied := i.small, i.large
	if err := called.call(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := copied.copyRows(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := called.bed.gatehouse.stop(); err != nil {
		t.Fatal(err)
	}
	calledRows, copiedRows := describeRows(t, called), describeRows(t, copied)
	if len(calledRows) < 1000 {
		t.Fatalf("only %d rows were compared", len(calledRows))
	}
	for n := range max(len(calledRows), len(copiedRows)) {
		if n >= len(calledRows) || n >= len(copiedRows) || calledRows[n] != copiedRows[n] {
			t.Fatalf("row %d of %d and %d differs:\n%s\n%s", n, len(calledRows), len(copiedRows), slices.Concat(calledRows, []string{""})[n], slices.Concat(copiedRows, []string{""})[n])
		}
	}
	// The server accepts the rows.
	if _, err := copied.probeStart(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range lastingOperations() {
		if _, err := copied.probe(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// describeRows returns the rows of all tables that are filled, as text and in order. An
// id is described by a name, and what is random by its length.
func describeRows(t *testing.T, f *filler) []string {
	t.Helper()
	d, err := f.bed.openDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := &copier{db: d}
	names := map[any]string{}
	var described []string
	seen := map[string]bool{} // random values, which no two rows share
	for _, table := range []string{
		"image_repository", "image_blob", "image_blob_link", "image_manifest", "image_reference", "image_tag",
		"pkg_domain", "pkg_repository", "pkg_package", "pkg_version", "pkg_content", "pkg_asset", "iam_entity", "iam_version",
	} {
		rows, err := c.template(t.Context(), table, "1 = 1")
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows.rows {
			name := table
			for i, column := range rows.columns {
				if column == "name" || column == "digest" && table == "image_blob" {
					name += " " + fmt.Sprint(row[i])
				}
			}
			var text []string
			for i, column := range rows.columns {
				if column == "id" && table != "iam_entity" {
					names[row[i]] = name
				}
				text = append(text, describeValue(t, table, column, row[i], names, seen))
			}
			described = append(described, table+" "+strings.Join(text, " | "))
		}
	}
	slices.Sort(described)
	return described
}

var (
	randomWords = regexp.MustCompile(`^[a-zA-Z2-7]{20,}$|^[0-9a-f]{32,}$|^(package|image)-[-a-z0-9]+$`)
	moments     = regexp.MustCompile(`"created":"[^"]+"|"id":"AKIA[^"]+"|"keyring_id":"[^"]+"`)
)

func describeValue(t *testing.T, table, column string, v any, names map[any]string, seen map[string]bool) string {
	switch column {
	case "created", "modified", "published", "arrived", "pushed", "pulled", "renewed", "age_from":
		if _, ok := v.(int64); ok {
			return column
		}
	case "size":
		if table == "pkg_content" { // random bytes do not compress alike
			return column
		}
	case "md5", "sha1", "sha512", "sha256", "object", "revision", "id":
		s, ok := v.(string)
		if !ok || !randomWords.MatchString(s) {
			break
		}
		if table != "pkg_asset" && seen[s] {
			t.Errorf("%s of %s: two rows have %s", column, table, s)
		}
		seen[s] = true
		if column == "sha256" && table == "pkg_content" {
			names[v] = "a file"
		}
		if column != "sha256" || table == "pkg_content" {
			return fmt.Sprintf("%s of %d characters", column, len(s))
		}
	}
	if b, ok := v.([]byte); ok {
		v = string(b)
	}
	if name, ok := names[v]; ok {
		return name
	}
	return moments.ReplaceAllString(fmt.Sprint(v), "…")
}
