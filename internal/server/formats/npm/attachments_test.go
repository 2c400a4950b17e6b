package npm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// extracted reads a document to its end.
func extracted(doc io.Reader) (rest []byte, attachments map[string][]byte, err error) {
	attachments = map[string][]byte{}
	rest, err = io.ReadAll(newAttachmentReader(doc, maxDocument, func(name string, r io.Reader) error {
		b, err := io.ReadAll(r)
		attachments[name] = b
		return err
	}))
	return rest, attachments, err
}

// For any document, what comes out is the document with empty data, and the data.
func TestAttachmentReader_AnyDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "content")
		tricky := rapid.SampledFrom([]string{"data", "_attachments", `"`, `\`, `\"`, `{"data":"x"}`, "é\u2028", "", ":,{}[]"})
		doc := map[string]any{
			"_id": tricky.Draw(t, "id"), tricky.Draw(t, "key") + "1": []any{tricky.Draw(t, "v"), map[string]any{"data": tricky.Draw(t, "data")}},
			"versions":     map[string]any{"1.0.0": map[string]any{"data": tricky.Draw(t, "inner"), "_attachments": map[string]any{"x": map[string]any{"data": "kept"}}}},
			"_attachments": map[string]any{"name-1.0.0.tgz": map[string]any{"data": base64.StdEncoding.EncodeToString(content), "length": len(content), "content_type": tricky.Draw(t, "type")}},
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "indented") {
			var b bytes.Buffer
			if err := json.Indent(&b, raw, "", "\t"); err != nil {
				t.Fatal(err)
			}
			raw = b.Bytes()
		}
		if rapid.Bool().Draw(t, "slashes escaped") {
			raw = bytes.ReplaceAll(raw, []byte("/"), []byte(`\/`))
		}
		var src io.Reader = bytes.NewReader(raw)
		if rapid.Bool().Draw(t, "one byte at a time") {
			src = iotest.OneByteReader(src)
		}
		rest, attachments, err := extracted(src)
		if err != nil {
			t.Fatal(err)
		}
		if len(attachments) != 1 || !bytes.Equal(attachments["name-1.0.0.tgz"], content) {
			t.Fatalf("lifted %q out of %s", attachments, raw)
		}
		doc["_attachments"].(map[string]any)["name-1.0.0.tgz"].(map[string]any)["data"] = ""
		want, _ := json.Marshal(doc)
		var back any
		if err := json.Unmarshal(rest, &back); err != nil {
			t.Fatalf("%v in %s", err, rest)
		}
		if got, _ := json.Marshal(back); !bytes.Equal(got, want) {
			t.Fatalf("passed on %s, want %s", got, want)
		}
	})
}

func TestAttachmentReader_InvalidBase64(t *testing.T) {
	for _, data := range []string{`"!!!!"`, `"YQ"`, `"YQ==YQ=="`, `"YQ\u003d="`, `"YWJj`, `"YW\n\n`} {
		_, _, err := extracted(strings.NewReader(`{"_attachments":{"a.tgz":{"data":` + data + `}}}`))
		if err == nil {
			t.Errorf("%s was taken", data)
		}
	}
}

func TestAttachmentReader_Limit(t *testing.T) {
	_, err := io.ReadAll(newAttachmentReader(strings.NewReader(`{"a":"`+strings.Repeat("x", 100)), 50, nil))
	if e := fault.From(err); e == nil || e.Kind != fault.TooLarge {
		t.Fatal(err)
	}
}

func TestPublish_StoreErrorWhileReading(t *testing.T) {
	full := errors.New("disk full")
	_, err := io.ReadAll(newAttachmentReader(strings.NewReader(`{"_attachments":{"a.tgz":{"data":"YQ=="}}}`), maxDocument, func(string, io.Reader) error { return full }))
	if !errors.Is(err, full) {
		t.Fatal(err)
	}
}

func FuzzPublishDocument(f *testing.F) {
	f.Add([]byte(`{"_id":"a","name":"a","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"a","version":"1.0.0","dist":{"shasum":"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"}}},"_attachments":{"a-1.0.0.tgz":{"content_type":"application/octet-stream","data":"YQ==","length":1}}}`))
	f.Add([]byte(`{"name":"a","versions":{"1.0.0":{"name":"a","version":"1.0.0","deprecated":"no"}}}`))
	f.Add([]byte(`]]]]{{{{"data":"`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		id := packages.PackageID{Format: packages.NPM, Name: "a"}
		tarball := &attachedTarball{content: &packages.Staged{Size: 1, SHA1: "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"}}
		doc, err := decodeDocument(newAttachmentReader(bytes.NewReader(raw), maxDocument, func(name string, r io.Reader) error {
			tarball.file = name
			_, err := io.Copy(io.Discard, r)
			return err
		}), id)
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				t.Fatalf("an outsider's bytes are no failure of ours: %v", err)
			}
			return
		}
		p, err := tarball.publication(doc, packages.RepositoryID{}, id)
		if err != nil {
			return
		}
		if !json.Valid(p.Metadata) || p.Attributes != nil && !json.Valid(p.Attributes) {
			t.Fatalf("kept %s and %s", p.Metadata, p.Attributes)
		}
		one := renderer{base: "http://registry.example/", p: &packages.Package{ID: id}}
		if err := one.version(&packages.Version{Version: p.Version, Metadata: p.Metadata}, func(string) bool { return true }); err != nil || !json.Valid(one.out) {
			t.Fatalf("rendered %s: %v", one.out, err)
		}
	})
}
