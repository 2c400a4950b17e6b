package secrets

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
	"github.com/gatehouse-registry/gatehouse/internal/server/authz"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

// A Sealer encrypts values. It is *token.Keyring, whose comments say what the methods do.
type Sealer interface {
	SealSecret(place string, secret []byte) (sealed []byte, keyID string, err error)
	OpenSecret(place string, sealed []byte) ([]byte, error)
	ActiveKeyID() string
}

// Config has what a [Service] needs. All fields are required.
type Config struct {
	DB     *db.DB
	Authz  authz.Authorizer
	Sealer Sealer
	Now    func() time.Time
}

// A Service is the store. It is safe for concurrent use.
type Service struct{ c Config }

// New applies the migrations and returns the service.
func New(ctx context.Context, c Config) (*Service, error) {
	if err := c.DB.Migrate(ctx, Migrations()...); err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	return &Service{c}, nil
}

// A Place is an account in a region.
type Place struct{ Account, Region string }

// A Secret is a secret without its values.
type Secret struct {
	Place
	Name, ARN           string
	Description, KMSKey string
	Tags                map[string]string
	Created, Changed    time.Time
	// Accessed is the day of the last reading, or zero.
	Accessed time.Time
	// Deleted is when it was marked for deletion, or zero, and Until when it will be
	// deleted.
	Deleted, Until time.Time
	// Versions are those with staging labels, the oldest first; only [Service.Describe] and
	// [Service.List] return them.
	Versions []Version

	row int64
}

// A Version is a version of a secret without its value.
type Version struct {
	ID      string
	Stages  []string
	Created time.Time
}

// The staging labels that the service moves by itself.
const (
	Current  = "AWSCURRENT"
	Previous = "AWSPREVIOUS"
)

// validName is what CreateSecret accepts (AWS Secrets Manager API Reference, CreateSecret).
var validName = lazyregexp.New(`^[A-Za-z0-9/_+=.@!-]{1,512}$`)

const secretColumns = `id, account, region, name, arn, description, kms_key, tags, created, changed, accessed, deleted, until`

func scanSecret(r db.Row) (*Secret, error) {
	s := new(Secret)
	var tags []byte
	var times [5]int64
	if err := r.Scan(&s.row, &s.Account, &s.Region, &s.Name, &s.ARN, &s.Description, &s.KMSKey, &tags, &times[0], &times[1], &times[2], &times[3], &times[4]); err != nil {
		return nil, err
	}
	for i, to := range []*time.Time{&s.Created, &s.Changed, &s.Accessed, &s.Deleted, &s.Until} {
		if times[i] != 0 {
			*to = db.Time(times[i])
		}
	}
	return s, json.Unmarshal(tags, &s.Tags)
}

// newARN returns the ARN of a new secret. The six random characters keep a new secret from
// having the permissions that were given on a deleted one of the same name.
func newARN(p Place, name string) string {
	return arn.New("secretsmanager", p.Region, p.Account, "secret:"+name+"-"+suffix()).String()
}

// suffix returns six random letters.
func suffix() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	for len(out) < 6 {
		var b [16]byte
		rand.Read(b[:]) // never fails
		for _, c := range b {
			if int(c) < 256/len(letters)*len(letters) && len(out) < 6 {
				out = append(out, letters[int(c)%len(letters)])
			}
		}
	}
	return string(out)
}

// unknownARN is what a secret is called in decisions that does not exist: with what AWS
// writes in the place of the six characters.
func unknownARN(p Place, name string) string {
	return arn.New("secretsmanager", p.Region, p.Account, "secret:"+name+"-??????").String()
}

// find returns the secret that an id names: a name, an ARN, or an ARN without the six
// characters. It is nil if there is none. unknown is the ARN for decisions then.
func (s *Service) find(ctx context.Context, q db.Querier, p Place, id string) (_ *Secret, unknown string, err error) {
	name := id
	if strings.HasPrefix(id, "arn:") {
		a, err := arn.Parse(id)
		resource, isSecret := strings.CutPrefix(a.Resource, "secret:")
		if err != nil || !isSecret || a.Service != "secretsmanager" || resource == "" {
			return nil, id, nil
		}
		found, err := db.One(ctx, q, scanSecret, `SELECT `+secretColumns+` FROM secret WHERE arn = $1 AND region = $2`, id, p.Region)
		if !errors.Is(err, db.ErrNoRows) {
			return s.present(found), id, err
		}
		if a.Region != p.Region || a.AccountID != p.Account {
			return nil, id, nil
		}
		name = resource
	}
	found, err := db.One(ctx, q, scanSecret, `SELECT `+secretColumns+` FROM secret WHERE account = $1 AND region = $2 AND name = $3`, p.Account, p.Region, name)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	unknown = unknownARN(p, name)
	if name != id {
		unknown = id
	}
	return s.present(found), unknown, err
}

// present returns nil for a secret that is to be deleted already. A sweep removes it later.
func (s *Service) present(found *Secret) *Secret {
	if found == nil || found.gone(s.c.Now()) {
		return nil
	}
	return found
}

func (x *Secret) gone(now time.Time) bool { return !x.Deleted.IsZero() && !x.Until.After(now) }

// authorize returns the secret that an id names if the caller is allowed the action. Faults:
// AccessDenied, ResourceNotFound.
func (s *Service) authorize(ctx context.Context, p Place, id string, req authz.Request) (*Secret, error) {
	found, unknown, err := s.find(ctx, s.c.DB, p, id)
	if err != nil {
		return nil, err
	}
	if req.Keys == nil {
		req.Keys = map[string][]string{}
	}
	if found == nil {
		req.Resource, req.Account = unknown, accountOf(unknown, p)
	} else {
		req.Resource, req.Account, req.ResourceTags = found.ARN, found.Account, found.Tags
	}
	req.Keys["secretsmanager:SecretId"] = []string{req.Resource}
	if err := s.c.Authz.Authorize(ctx, &req); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, notFound()
	}
	return found, nil
}

// accountOf returns the account of an ARN.
func accountOf(text string, p Place) string {
	if a, err := arn.Parse(text); err == nil && a.AccountID != "" {
		return a.AccountID
	}
	return p.Account
}

// change authorizes an action and runs a transaction with the secret as it is in it.
func (s *Service) change(ctx context.Context, p Place, id string, req authz.Request, run func(tx *db.Tx, x *Secret) error) (*Secret, error) {
	found, err := s.authorize(ctx, p, id, req)
	if err != nil {
		return nil, err
	}
	var current *Secret
	err = s.c.DB.Tx(ctx, func(tx *db.Tx) error {
		current, err = db.One(ctx, tx, scanSecret, `SELECT `+secretColumns+` FROM secret WHERE id = $1`, found.row)
		if errors.Is(err, db.ErrNoRows) || err == nil && current.gone(s.c.Now()) {
			return notFound()
		}
		if err != nil {
			return err
		}
		return run(tx, current)
	})
	return current, err
}

func notFound() error {
	return fault.New(fault.NotFound, "ResourceNotFound", "Secrets Manager can't find the specified secret.")
}

func invalidParameter(format string, args ...any) error {
	return fault.New(fault.Invalid, "InvalidParameter", format, args...)
}

// checkUsable returns a fault if the secret is marked for deletion.
func (x *Secret) checkUsable() error {
	if x.Deleted.IsZero() {
		return nil
	}
	return fault.New(fault.Conflict, "InvalidRequest", "You can't perform this operation on the secret because it was marked for deletion.")
}
