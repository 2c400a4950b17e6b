package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

const present = "present"

func blobKey(d digest.Digest) string     { return "blob/app@" + d.String() }
func manifestKey(d digest.Digest) string { return "manifest/app@" + d.String() }
func tagKey(tag string) string           { return "tag/app:" + tag }

// pushImage pushes the layers of an image concurrently, as docker does, then its
// configuration and its manifest, which moves one of a few tags.
func (c *client) pushImage() error {
	config := []byte(`{"architecture":"amd64","os":"linux","author":"` + c.next() + `"}`)
	layers := [][]byte{content(c.rand), content(c.rand), []byte("the layer that all images have")}
	errs := make(chan error, len(layers))
	for _, layer := range layers {
		helper := &client{session: c.session, rand: rand.New(rand.NewPCG(c.rand.Uint64(), 0)), uploads: c.uploads}
		go func() { errs <- helper.pushBlob(layer) }()
	}
	var failed error
	for range layers {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	if failed != nil {
		return failed
	}
	if err := c.pushBlob(config); err != nil {
		return err
	}
	m := imageManifest(config, layers)
	tag := fmt.Sprintf("%s-%d", c.kind, c.rand.IntN(4))
	d := digest.FromBytes(m)
	return c.write(change{manifestKey(d): present, tagKey(tag): d.String()}, func() error {
		_, err := c.do(c.oci("PUT", "/v2/app/manifests/"+tag).with("Content-Type", ociManifest).sends(m), http.StatusCreated)
		return err
	})
}

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int           `json:"size"`
}

type image struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

func imageManifest(config []byte, layers [][]byte) []byte {
	m := image{2, ociManifest, descriptor{"application/vnd.oci.image.config.v1+json", digest.FromBytes(config), len(config)}, nil}
	for _, l := range layers {
		m.Layers = append(m.Layers, descriptor{"application/vnd.oci.image.layer.v1.tar", digest.FromBytes(l), len(l)})
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // cannot happen: only strings and numbers
	}
	return b
}

// pushBlob pushes a blob in one of the ways that clients use.
func (c *client) pushBlob(b []byte) error {
	d := digest.FromBytes(b)
	if c.chance(3) {
		return c.write(change{blobKey(d): present}, func() error {
			_, err := c.do(c.oci("POST", "/v2/app/blobs/uploads/?digest="+d.String()).sends(b), http.StatusCreated)
			return err
		})
	}
	a, err := c.do(c.oci("POST", "/v2/app/blobs/uploads/").sends(nil), http.StatusAccepted)
	if err != nil {
		return err
	}
	path := a.header.Get("Location")
	c.uploads.put(path, b)
	c.ledger.begin(change{"upload" + path: "0"})()
	return c.continueUpload(path, 0)
}

// continueUpload sends the rest of an upload: in chunks, or with the request that
// completes it.
func (c *client) continueUpload(path string, at int) error {
	b := c.uploads.get(path)
	size := len(b) - at
	if !c.chance(3) {
		size = min(size, len(b)/(1+c.rand.IntN(4))+1)
	}
	for ; len(b)-at > size; at += size {
		err := c.write(change{"upload" + path: fmt.Sprint(at + size)}, func() error {
			a, err := c.send(path, at, http.StatusAccepted, func() *request {
				return c.oci("PATCH", path).with("Content-Range", fmt.Sprintf("%d-%d", at, at+size-1)).sends(b[at : at+size])
			})
			if want := fmt.Sprintf("0-%d", at+size-1); err == nil && a.header.Get("Range") != want {
				err = fmt.Errorf("%s: Range %q, want %q", path, a.header.Get("Range"), want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	d := digest.FromBytes(b)
	return c.write(change{"upload" + path: "", blobKey(d): present}, func() error {
		_, err := c.send(path, at, http.StatusCreated, func() *request {
			return c.oci("PUT", path+"?digest="+d.String()).sends(b[at:])
		})
		return err
	})
}

// send sends the bytes of an upload that begin at the offset at. A request of a server
// that was killed may still be under way between that server and S3. It can be a conflict
// for a new request, which changes nothing: the client gets the upload's status, as the
// answer says, waits as clients do after a conflict, and sends the bytes again.
func (c *client) send(path string, at, status int, again func() *request) (*answer, error) {
	const tries = 8
	for try := 1; ; try++ {
		a, err := c.do(again(), status)
		if err == nil || try == tries || a == nil || a.status != http.StatusRequestedRangeNotSatisfiable || !bytes.Contains(a.body, []byte("UploadConflict")) {
			return a, err
		}
		now, err := c.do(c.oci("GET", path), http.StatusNoContent)
		if want := fmt.Sprintf("0-%d", max(at-1, 0)); err == nil && now.header.Get("Range") != want {
			err = fmt.Errorf("%s: Range %q after a conflict, want %q", path, now.header.Get("Range"), want)
		}
		if err != nil {
			return now, err
		}
		time.Sleep(50 * time.Millisecond << try) // 12 s in all
	}
}

// changeImages pushes an image, and sometimes deletes a tag, an image or a blob.
func (c *client) changeImages() error {
	switch c.rand.IntN(8) {
	case 0:
		return c.deleteTag()
	case 1:
		return c.deleteImage()
	case 2:
		return c.pushAndDeleteBlob()
	}
	return c.pushImage()
}

// mine returns one of the client's tags, or "" if it has none.
func (c *client) mine() string {
	tags := c.ledger.keys(func(key, _ string) bool { return strings.HasPrefix(key, tagKey(c.kind+"-")) })
	if len(tags) == 0 {
		return ""
	}
	return tags[c.rand.IntN(len(tags))]
}

func (c *client) deleteTag() error {
	key := c.mine()
	if key == "" {
		return nil
	}
	return c.write(change{key: ""}, func() error {
		_, err := c.do(c.oci("DELETE", "/v2/app/manifests/"+strings.TrimPrefix(key, tagKey(""))), http.StatusAccepted)
		return err
	})
}

// deleteImage deletes a manifest and so all of its tags.
func (c *client) deleteImage() error {
	key := c.mine()
	if key == "" {
		return nil
	}
	d := c.ledger.has(key)
	gone := change{"manifest/app@" + d: ""}
	for _, tag := range c.ledger.keys(func(key, value string) bool { return strings.HasPrefix(key, tagKey("")) && value == d }) {
		gone[tag] = ""
	}
	return c.write(gone, func() error {
		_, err := c.do(c.oci("DELETE", "/v2/app/manifests/"+d), http.StatusAccepted)
		return err
	})
}

func (c *client) pushAndDeleteBlob() error {
	b := content(c.rand)
	if err := c.pushBlob(b); err != nil {
		return err
	}
	d := digest.FromBytes(b)
	return c.write(change{blobKey(d): ""}, func() error {
		_, err := c.do(c.oci("DELETE", "/v2/app/blobs/"+d.String()), http.StatusAccepted)
		return err
	})
}

// pull pulls an image by a listed tag, while others push and delete.
func (c *client) pull() error {
	a, err := c.do(c.oci("GET", "/v2/app/tags/list"), http.StatusOK)
	if err != nil {
		return err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Tags) == 0 {
		return err
	}
	m, err := c.manifest(list.Tags[c.rand.IntN(len(list.Tags))])
	if err != nil || m == nil {
		return err
	}
	for _, l := range m.Layers {
		if there, err := c.blob(l.Digest); err != nil {
			return err
		} else if !there {
			return fmt.Errorf("image %s is there, and its layer %s is not", m.digest, l.Digest)
		}
	}
	return nil
}
