package operatorapi

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
)

// maxAccessKeys is how many access keys of one key are listed.
const maxAccessKeys = 1000

// ListKeys describes the keys of the keyring, and which servers have loaded them.
func (a *API) ListKeys(ctx context.Context, _ *operatormodel.ListKeysInput) (*operatormodel.ListKeysOutput, error) {
	l, err := a.c.Keys.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &operatormodel.ListKeysOutput{Location: l.Location, Wrapped: l.Wrapped, Revision: l.Revision, Keys: []operatormodel.Key{}, Servers: []operatormodel.KeyringServer{}}
	for i := range l.Keys {
		out.Keys = append(out.Keys, keyOf(&l.Keys[i]))
	}
	for _, s := range l.Servers {
		out.Servers = append(out.Servers, operatormodel.KeyringServer{ServerID: s.ID, Host: s.Host, Revision: s.Revision, SeenAt: s.Seen})
	}
	return out, nil
}

// RotateKeys makes a new key active.
func (a *API) RotateKeys(ctx context.Context, _ *operatormodel.RotateKeysInput) (*operatormodel.RotateKeysOutput, error) {
	r, err := a.c.Keys.Rotate(ctx)
	if err != nil {
		return nil, err
	}
	return &operatormodel.RotateKeysOutput{
		NewKeyID: r.New, FormerKeyID: r.Former, Revision: r.Revision, Done: r.Done,
		ServersBehind: append([]string{}, r.Behind...), RetirableAt: optional.Time(r.OpensUntil),
	}, nil
}

// RetireKey ends what a key has sealed.
func (a *API) RetireKey(ctx context.Context, in *operatormodel.RetireKeyInput) (*operatormodel.RetireKeyOutput, error) {
	end := in.EndSessions != nil
	if end && *in.EndSessions != in.KeyID {
		return nil, fault.New(fault.Invalid, "Validation", "EndSessions is %q: to end the sessions of key %s, it must be that key's id.", *in.EndSessions, in.KeyID)
	}
	key, err := a.c.Keys.Retire(ctx, in.KeyID, end)
	if err != nil {
		return nil, err
	}
	return &operatormodel.RetireKeyOutput{Key: keyOf(key)}, nil
}

func keyOf(k *keys.KeyInfo) operatormodel.Key {
	out := operatormodel.Key{
		KeyID: k.ID, State: string(k.State), CreatedAt: k.Created, ActivatedAt: optional.Time(k.Activated), DeactivatedAt: optional.Time(k.Deactivated),
		RetirableAt: optional.Time(k.OpensUntil()), AccessKeyCount: int64(len(k.AccessKeys)), AccessKeys: []operatormodel.KeyAccessKey{},
	}
	for _, a := range k.AccessKeys[:min(len(k.AccessKeys), maxAccessKeys)] {
		out.AccessKeys = append(out.AccessKeys, operatormodel.KeyAccessKey{AccessKeyID: a.ID, Account: a.Account, UserName: a.User, Active: a.Active})
	}
	return out
}
