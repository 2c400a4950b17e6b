package images_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/events"
	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

// An eventReader reads the events that are new.
type eventReader struct {
	t    *testing.T
	s    *store
	next int64
}

func (r *eventReader) bodies() (out []string) {
	r.t.Helper()
	found, next, err := r.s.log.Read(r.t.Context(), events.Query{After: r.next, Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	r.next = next
	for _, e := range found {
		out = append(out, e.Body)
	}
	return out
}

// want compares the new events with lines such as "ECR Image Action PUSH DIGEST:tag".
func (r *eventReader) want(lines ...string) {
	r.t.Helper()
	var got []string
	for _, body := range r.bodies() {
		var e struct {
			Kind   string `json:"detail-type"`
			Detail struct {
				Digest string `json:"image-digest"`
				Action string `json:"action-type"`
				Tag    string `json:"image-tag"`
			}
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			r.t.Fatal(err)
		}
		got = append(got, strings.TrimSuffix(fmt.Sprintf("%s %s %s:%s", e.Kind, e.Detail.Action, e.Detail.Digest, e.Detail.Tag), ":"))
	}
	if !slices.Equal(got, lines) {
		r.t.Fatalf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func TestEvents_Shape(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	at := s.clock.now().UTC().Format(time.RFC3339)
	d := s.put(t, app, image(s.push(t, app, "config")), "latest")
	bodies := (&eventReader{t: t, s: s}).bodies()
	if len(bodies) != 1 {
		t.Fatalf("%d events", len(bodies))
	}
	var e struct{ ID string }
	if err := json.Unmarshal([]byte(bodies[0]), &e); err != nil {
		t.Fatal(err)
	}
	want := `{"version":"0","id":"` + e.ID + `","detail-type":"ECR Image Action","source":"aws.ecr","account":"000000000001","time":"` + at + `","region":"us-east-1","resources":[],` +
		`"detail":{"result":"SUCCESS","repository-name":"team/app","image-digest":"` + d.String() + `","action-type":"PUSH","image-tag":"latest"}}`
	if bodies[0] != want {
		t.Errorf("event\n%s\nwant\n%s", bodies[0], want)
	}
}

func TestEvents_OfEachOperation(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	r := &eventReader{t: t, s: s}
	layer := s.push(t, app, "layer")
	r.want() // a blob is no image
	body := image(layer)
	d := s.put(t, app, body).String()
	r.want("ECR Image Action PUSH " + d)
	s.put(t, app, body)
	r.want() // nothing changed
	s.put(t, app, body, "a", "b")
	r.want("ECR Image Action PUSH "+d+":a", "ECR Image Action PUSH "+d+":b")
	s.put(t, app, body, "a")
	r.want()
	other := s.put(t, app, image(layer, layer), "a").String()
	r.want("ECR Image Action PUSH " + other + ":a")

	signature := manifest("config", layer, "layers", []ocispec.Descriptor{layer}, "subject", describe(ocispec.MediaTypeImageManifest, body))
	sd := s.put(t, app, signature, "sig").String()
	r.want("ECR Referrer Action PUSH " + sd + ":sig")

	remove := func(ref images.Reference) {
		t.Helper()
		if _, failed, err := s.DeleteImages(t.Context(), app, []images.Reference{ref}); err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
	}
	if err := s.DeleteImage(t.Context(), app, images.Reference{Tag: "sig"}); err != nil { // as OCI clients do
		t.Fatal(err)
	}
	r.want("ECR Referrer Action DELETE " + sd + ":sig")
	remove(images.Reference{Digest: digest.Digest(sd)})
	r.want("ECR Referrer Action DELETE " + sd)
	remove(images.Reference{Tag: "a"})
	r.want("ECR Image Action DELETE " + other + ":a")
	s.put(t, app, body, "c")
	remove(images.Reference{Tag: "c"}) // not the last tag
	r.want("ECR Image Action PUSH "+d+":c", "ECR Image Action DELETE "+d+":c")
	s.put(t, app, body, "d")
	remove(images.Reference{Digest: digest.Digest(d)})
	r.want("ECR Image Action PUSH "+d+":d", "ECR Image Action DELETE "+d+":b", "ECR Image Action DELETE "+d+":d")
	if err := s.DeleteImage(t.Context(), app, images.Reference{Tag: "gone"}); err == nil {
		t.Fatal("a tag that does not exist was deleted")
	}
	r.want()
}

// TestEvents_DatabaseFails: a push whose event cannot be written does not happen.
func TestEvents_DatabaseFails(t *testing.T) {
	s := newStore(t)
	s.create(t, app)
	r := &eventReader{t: t, s: s}
	layer := s.push(t, app, "layer")
	d := s.put(t, app, image(layer), "a")
	r.want("ECR Image Action PUSH " + d.String() + ":a")
	rename := func(from, to string) {
		t.Helper()
		if err := s.db.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `ALTER TABLE `+from+` RENAME TO `+to)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	rename("event_outbox", "elsewhere")
	if _, err := s.PutManifest(t.Context(), app, images.PutManifest{Body: bytes.NewReader(image(layer, layer)), Tags: []string{"a"}}); err == nil {
		t.Error("the push succeeded without its event")
	}
	if err := s.DeleteImage(t.Context(), app, images.Reference{Digest: d}); err == nil {
		t.Error("the deletion succeeded without its event")
	}
	rename("elsewhere", "event_outbox")
	if m, err := s.Manifest(t.Context(), app, images.Reference{Tag: "a"}); err != nil || m.Digest != d {
		t.Errorf("%v, %v", m, err)
	}
	r.want()
}
