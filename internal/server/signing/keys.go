package signing

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
)

const (
	// rootLife is how long a root certificate is valid.
	rootLife = 50 // years
	// keyLife is how long a key signs.
	keyLife = 90 * 24 * time.Hour
)

// A pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// root returns the root of an account, which it creates if there is none.
func (s *Service) root(ctx context.Context, account string) (*pair, error) {
	root, err := s.readRoot(ctx, account)
	if !errors.Is(err, db.ErrNoRows) {
		return root, err
	}
	now := s.c.Now()
	root, err = newPair(&x509.Certificate{
		Subject:               subject(account, "", "Signing root of account "+account),
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(rootLife, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}, nil)
	if err != nil {
		return nil, err
	}
	sealed, by, err := s.seal(rootPlace(account), root.key)
	if err != nil {
		return nil, err
	}
	err = s.c.DB.Tx(ctx, func(tx *db.Tx) error { // another server may be the first
		_, err := tx.Exec(ctx, `INSERT INTO signing_root (account, certificate, sealed, sealed_by) VALUES ($1, $2, $3, $4) ON CONFLICT (account) DO NOTHING`, account, root.certificate.Raw, sealed, by)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.readRoot(ctx, account)
}

func (s *Service) readRoot(ctx context.Context, account string) (*pair, error) {
	r, err := db.One(ctx, s.c.DB, scanSealed, `SELECT certificate, sealed FROM signing_root WHERE account = $1`, account)
	if err != nil {
		return nil, err
	}
	return s.open(rootPlace(account), r)
}

func rootPlace(account string) string { return "signing root " + account }

func keyPlace(profile, serial string) string { return "signing key " + profile + " " + serial }

// A sealedPair is a row with a certificate and a key.
type sealedPair struct{ certificate, sealed []byte }

func scanSealed(r db.Row) (p sealedPair, err error) {
	err = r.Scan(&p.certificate, &p.sealed)
	return p, err
}

func (s *Service) seal(place string, key *ecdsa.PrivateKey) (sealed []byte, by string, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", err
	}
	return s.c.Sealer.SealSecret(place, der)
}

func (s *Service) open(place string, r sealedPair) (*pair, error) {
	der, err := s.c.Sealer.OpenSecret(place, r.sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	certificate, err := x509.ParseCertificate(r.certificate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok || !k.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("%s: the key does not fit its certificate", place)
	}
	return &pair{certificate, k}, nil
}

// subject is the subject of a certificate. Notation wants a country, a state and an
// organisation in the identities of a trust policy (Notary Project, "Trust Store and Trust
// Policy Specification", trustedIdentities).
func subject(account, region, name string) pkix.Name {
	if region == "" {
		region = "global"
	}
	return pkix.Name{Country: []string{"XX"}, Province: []string{region}, Organization: []string{"Gatehouse"}, OrganizationalUnit: []string{account}, CommonName: name}
}

// newPair makes a key, and a certificate of it by the issuer, or by itself.
func newPair(template *x509.Certificate, issuer *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	parent := template
	signer := key
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &pair{certificate, key}, err
}

// A newKey is a key of a profile that is not stored yet.
type newKey struct {
	*pair
	profile, version, serial string
	sealed                   []byte
	by                       string
	created                  time.Time
}

// newKey makes a key of a profile (Notary Project, "Signature Specification", certificate
// requirements). Its certificate is valid for as long as the last signature that it makes.
func (s *Service) newKey(p *Profile, root *pair, now time.Time) (*newKey, error) {
	end, _ := p.Validity.from(now.Add(keyLife))
	if end = end.AddDate(0, 0, 1); end.After(root.certificate.NotAfter) {
		return nil, fmt.Errorf("signing: the root certificate of account %s ends too early for a new key", p.Account)
	}
	name, err := url.Parse(p.ARN())
	if err != nil {
		return nil, err
	}
	k, err := newPair(&x509.Certificate{
		Subject:   subject(p.Account, p.Region, p.Name),
		NotBefore: now.Add(-time.Hour), NotAfter: end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{name},
	}, root)
	if err != nil {
		return nil, err
	}
	n := &newKey{pair: k, profile: p.ARN(), version: p.Version, serial: k.certificate.SerialNumber.Text(16), created: now}
	n.sealed, n.by, err = s.seal(keyPlace(n.profile, n.serial), k.key)
	return n, err
}

func (k *newKey) insert(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO signing_key (profile, serial, version, certificate, sealed, sealed_by, created) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.profile, k.serial, k.version, k.certificate.Raw, k.sealed, k.by, db.Micros(k.created))
	return err
}

// A storedKey is a row of signing_key.
type storedKey struct {
	sealedPair
	serial  string
	created int64
}

// key returns the key with which an active profile signs now. It makes a new one if the last
// one is too old.
func (s *Service) key(ctx context.Context, p *Profile, root *pair) (*pair, error) {
	found, err := db.All(ctx, s.c.DB, func(r db.Row) (k storedKey, err error) {
		err = r.Scan(&k.certificate, &k.sealed, &k.serial, &k.created)
		return k, err
	}, `SELECT certificate, sealed, serial, created FROM signing_key WHERE profile = $1 AND version = $2 ORDER BY created DESC, serial LIMIT 1`, p.ARN(), p.Version)
	if err != nil {
		return nil, err
	}
	now := s.c.Now()
	if len(found) > 0 && now.Sub(db.Time(found[0].created)).Abs() < keyLife {
		return s.open(keyPlace(p.ARN(), found[0].serial), found[0].sealedPair)
	}
	k, err := s.newKey(p, root, now)
	if err != nil {
		return nil, err
	}
	return k.pair, s.c.DB.Tx(ctx, func(tx *db.Tx) error { return k.insert(ctx, tx) })
}

// Root returns the root certificate of an account as PEM, for whoever verifies signatures. It
// does not authorize: every signature has the certificate. Fault: ResourceNotFound.
func (s *Service) Root(ctx context.Context, account string) ([]byte, error) {
	r, err := db.One(ctx, s.c.DB, scanSealed, `SELECT certificate, sealed FROM signing_root WHERE account = $1`, account)
	if errors.Is(err, db.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "ResourceNotFound", "The account has no signing profile.")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.certificate}), err
}

// Reseal encrypts the keys anew that another key of the keyring than the active one
// encrypted. It should run every hour.
func (s *Service) Reseal(ctx context.Context) error {
	type row struct {
		sealedPair
		account, profile, serial string
	}
	active := s.c.Sealer.ActiveKeyID()
	rows, err := db.All(ctx, s.c.DB, func(r db.Row) (v row, err error) {
		err = r.Scan(&v.account, &v.profile, &v.serial, &v.sealed)
		return v, err
	}, `SELECT account, '', '', sealed FROM signing_root WHERE sealed_by <> $1 UNION ALL SELECT '', profile, serial, sealed FROM signing_key WHERE sealed_by <> $1`, active)
	if err != nil {
		return err
	}
	var failed error
	for _, v := range rows {
		place := keyPlace(v.profile, v.serial)
		if v.account != "" {
			place = rootPlace(v.account)
		}
		der, err := s.c.Sealer.OpenSecret(place, v.sealed)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", place, err))
			continue
		}
		sealed, by, err := s.c.Sealer.SealSecret(place, der)
		if err != nil {
			return errors.Join(failed, err)
		}
		err = s.c.DB.Tx(ctx, func(tx *db.Tx) (err error) {
			if v.account != "" {
				_, err = tx.Exec(ctx, `UPDATE signing_root SET sealed = $2, sealed_by = $3 WHERE account = $1`, v.account, sealed, by)
			} else {
				_, err = tx.Exec(ctx, `UPDATE signing_key SET sealed = $3, sealed_by = $4 WHERE profile = $1 AND serial = $2`, v.profile, v.serial, sealed, by)
			}
			return err
		})
		if err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}
