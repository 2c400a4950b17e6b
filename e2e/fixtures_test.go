package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// makeImage FOLDER LAYERS BYTES [PLATFORM...] writes an OCI layout with one image of
// random layers. With platforms it writes one image for each, and the layout's index
// is their index.
func makeImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: makeimage FOLDER LAYERS BYTES [PLATFORM...]")
	}
	layers, err := strconv.Atoi(args[1])
	ts.Check(err)
	size, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	if len(args) == 3 {
		path, err := layout.Write(ts.MkAbs(args[0]), empty.Index)
		ts.Check(err)
		img, err := random.Image(size, int64(layers))
		ts.Check(err)
		ts.Check(path.AppendImage(img))
		return
	}
	var index v1.ImageIndex = empty.Index
	for _, platform := range args[3:] {
		img, err := random.Image(size, int64(layers))
		ts.Check(err)
		img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
		p, err := v1.ParsePlatform(platform)
		ts.Check(err)
		img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, RootFS: rootFS(ts, img)})
		ts.Check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: plain{img}, Descriptor: v1.Descriptor{Platform: p}})
	}
	// skopeo copies an index only if its body has a media type.
	_, err = layout.Write(ts.MkAbs(args[0]), mutate.IndexMediaType(index, types.OCIImageIndex))
	ts.Check(err)
}

func rootFS(ts *testscript.TestScript, img v1.Image) v1.RootFS {
	config, err := img.ConfigFile()
	ts.Check(err)
	return config.RootFS
}

// A plain image has no artifact type. An index would repeat it, and skopeo would
// drop it.
type plain struct{ v1.Image }

// ArtifactType implements the interface that an index asks for.
func (plain) ArtifactType() (string, error) { return "", nil }

// wheel FILE NAME VERSION writes a wheel that installs one module.
func wheel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: wheel FILE NAME VERSION")
	}
	ts.Check(writeWheel(ts.MkAbs(args[0]), args[1], args[2]))
}

func writeWheel(path, name, version string) error {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	module := strings.ToLower(strings.NewReplacer("-", "_", ".", "_").Replace(name))
	info := module + "-" + version + ".dist-info/"
	var record strings.Builder
	write := func(name, content string) error {
		w, err := z.Create(name)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, content)
		return err
	}
	for _, file := range []struct{ name, content string }{
		{module + ".py", fmt.Sprintf("VERSION = %q\n", version)},
		{info + "METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: a test\nRequires-Python: >=3.6\n", name, version)},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: gatehouse\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	} {
		if err := write(file.name, file.content); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(file.content))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", file.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(file.content))
	}
	if err := errors.Join(write(info+"RECORD", record.String()+info+"RECORD,,\n"), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
