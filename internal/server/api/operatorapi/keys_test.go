package operatorapi_test

import (
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

func TestKeys(t *testing.T) {
	f := serve(t)
	c := f.admin()
	list := func() *operatormodel.ListKeysOutput {
		t.Helper()
		l, err := c.ListKeys(t.Context(), &operatormodel.ListKeysInput{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := list()
	if len(l.Keys) != 1 || l.Keys[0].State != "active" || l.Keys[0].RetirableAt != nil || l.Wrapped || l.Revision != 1 || l.Keys[0].AccessKeyCount != 1 || l.Keys[0].AccessKeys[0].UserName != "admin" {
		t.Fatalf("%+v", l)
	}
	r, err := c.RotateKeys(t.Context(), &operatormodel.RotateKeysInput{})
	if err != nil || !r.Done || r.FormerKeyID != l.Keys[0].KeyID || r.RetirableAt == nil || time.Until(*r.RetirableAt) < 36*time.Hour {
		t.Fatalf("%+v, %v", r, err)
	}
	if l = list(); len(l.Keys) != 2 || l.Keys[0].State != "verify-only" || !l.Keys[0].RetirableAt.Equal(*r.RetirableAt) || l.Keys[1].KeyID != r.NewKeyID {
		t.Fatalf("%+v", l)
	}
	wrong := "00000000"
	for _, in := range []struct {
		operatormodel.RetireKeyInput
		code string
	}{
		{operatormodel.RetireKeyInput{KeyID: r.FormerKeyID}, "KeyInUseException"},
		{operatormodel.RetireKeyInput{KeyID: r.NewKeyID}, "KeyInUseException"},
		{operatormodel.RetireKeyInput{KeyID: wrong}, "NoSuchKeyException"},
		{operatormodel.RetireKeyInput{KeyID: "a"}, "ValidationException"},
		{operatormodel.RetireKeyInput{}, "ValidationException"},
		{operatormodel.RetireKeyInput{KeyID: r.FormerKeyID, EndSessions: &wrong}, "ValidationException"},
	} {
		_, err := c.RetireKey(t.Context(), &in.RetireKeyInput)
		wantCode(t, err, in.code)
	}
	out, err := c.RetireKey(t.Context(), &operatormodel.RetireKeyInput{KeyID: r.FormerKeyID, EndSessions: &r.FormerKeyID})
	if err != nil || out.Key.State != "retired" || out.Key.KeyID != r.FormerKeyID {
		t.Errorf("%+v, %v", out, err)
	}
}
