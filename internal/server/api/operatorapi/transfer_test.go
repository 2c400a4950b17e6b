package operatorapi_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// archiveOf is a tar archive of names and contents.
func archiveOf(t *testing.T, entries ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(entries); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: entries[i], Mode: 0o644, Size: int64(len(entries[i+1]))})
		if err == nil {
			_, err = io.WriteString(w, entries[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// send imports an archive into the repository "to".
func send(t *testing.T, c *operator.Client, version, archive string) (*operatormodel.ImportPackageVersionOutput, error) {
	t.Helper()
	return c.ImportPackageVersion(t.Context(), &operatormodel.ImportPackageVersionInput{
		Domain: "acme", Repository: "to", Format: "npm", Package: "core", PackageVersion: version, Content: strings.NewReader(archive),
	}, int64(len(archive)), fmt.Sprintf("%x", sha256.Sum256([]byte(archive))))
}

func TestTransfer(t *testing.T) {
	f := serve(t)
	f.createRepository()
	if _, err := f.store.CreateRepository(f.adminContext(), packages.NewRepository{ID: lib.Domain.Repository("to")}); err != nil {
		t.Fatal(err)
	}
	f.publish(packages.PackageID{Format: packages.NPM, Name: "core"}, "1.0.0")
	client := f.admin()
	out, err := client.ExportPackageVersion(t.Context(), &operatormodel.ExportPackageVersionInput{RepositoryName: operatormodel.RepositoryName{Domain: "acme", Repository: "lib"}, Format: "npm", Package: "core", PackageVersion: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	content, err := client.GetExportedFile(t.Context(), &operatormodel.GetExportedFileInput{Domain: "acme", Repository: "lib", Format: "npm", Package: "core", PackageVersion: "1.0.0", File: "package.tgz"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(content)
	if err = errors.Join(err, content.Close()); err != nil || string(text) != "1.0.0" {
		t.Fatalf("%q, %v", text, err)
	}

	good := archiveOf(t, "version.json", out.Record, "files/package.tgz", string(text))
	for name, archive := range map[string]string{
		"not an archive":    "no",
		"nothing":           "",
		"no record":         archiveOf(t, "files/package.tgz", "1.0.0"),
		"a damaged record":  archiveOf(t, "version.json", "{", "files/package.tgz", "1.0.0"),
		"another file":      archiveOf(t, "version.json", out.Record, "files/other", "1.0.0"),
		"no file":           archiveOf(t, "version.json", out.Record),
		"outside of files":  archiveOf(t, "version.json", out.Record, "package.tgz", "1.0.0"),
		"other bytes":       archiveOf(t, "version.json", out.Record, "files/package.tgz", "2.0.0"),
		"cut":               good[:len(good)-1024-510],
		"more than padding": good + strings.Repeat("x", 2<<20),
	} {
		_, err := send(t, client, "1.0.0", archive)
		var refused smithy.APIError
		if !errors.As(err, &refused) || refused.ErrorFault() != smithy.FaultClient {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = send(t, f.user("nobody", `{"Effect":"Allow","NotAction":"gatehouse:ImportPackageVersion","Resource":"*"}`), "1.0.0", good)
	wantCode(t, err, "AccessDeniedException")
	if _, err := send(t, client, "2.0.0", good); err == nil {
		t.Error("another version was imported")
	}
	// A body that is not the one that was signed is not kept.
	if _, err := client.ImportPackageVersion(t.Context(), &operatormodel.ImportPackageVersionInput{
		Domain: "acme", Repository: "to", Format: "npm", Package: "core", PackageVersion: "1.0.0", Content: strings.NewReader(good),
	}, int64(len(good)), strings.Repeat("0", 64)); err == nil {
		t.Error("a body with another hash was imported")
	}
	if _, _, err := f.store.DescribeVersion(f.adminContext(), lib.Domain.Repository("to"), packages.PackageID{Format: packages.NPM, Name: "core"}, "1.0.0"); err == nil {
		t.Error("something was imported")
	}
	v, err := send(t, client, "1.0.0", good)
	if err != nil || v.Version != "1.0.0" || v.Status != "Published" || v.Revision == "" {
		t.Errorf("%+v, %v", v, err)
	}
}
