package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/db"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// openKeyring loads the keyring, which the first start creates. It refuses a
// database in use without its keyring: a new keyring would invalidate every access
// key and token that was issued, without a word. A process may have been killed after
// it created the database, so what counts is whether the first start has finished.
func (p *components) openKeyring(ctx context.Context) (err error) {
	defer func() {
		if errors.Is(err, keys.ErrWrapping) { // a supervisor must not try again for ever
			err = fmt.Errorf("%w: %w", ErrConfiguration, err)
		}
	}()
	codec, err := keyringCodec(p.config)
	if err != nil {
		return err
	}
	var store keys.Store = keyringFileStore(p.config, p.data)
	if p.config.Keyring == config.InDatabase {
		if store, err = keys.NewDBStore(ctx, p.db); err != nil {
			return err
		}
		if err := p.importKeyring(ctx, store, codec); err != nil {
			return err
		}
	}
	host, _ := os.Hostname() // for people
	p.follower, err = keys.NewFollower(ctx, keys.FollowerConfig{
		DB: p.db, Store: store, Codec: codec, Create: !p.db.Complete(), Shared: p.db.Shared(), ID: p.serverID, Host: host,
		Now: p.now, Log: p.log, Timing: keys.DefaultTiming,
	})
	if err != nil {
		return err
	}
	p.keyring = p.follower.Keyring()
	return nil
}

// importKeyring puts the keyring of the data folder into a database that has none: the
// setting keyring was changed.
func (p *components) importKeyring(ctx context.Context, to keys.Store, codec *keys.Codec) error {
	if _, err := to.Load(ctx); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from := &keys.FileStore{Path: p.data.file(keyringFile)}
	stored, err := from.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !keys.Wrapped(stored) {
		content, err := token.ParseKeys(stored)
		if err != nil {
			return fmt.Errorf("keyring %s: %w", from, err)
		}
		if stored, err = codec.Encode(ctx, content); err != nil {
			return err
		}
	}
	if err := to.Create(ctx, stored); err != nil && !errors.Is(err, fs.ErrExist) { // another server may be first
		return err
	}
	p.log.Warn("the keyring was copied into the database, where it is kept from now on; move the file to a safe place", "file", from.Path)
	return nil
}

// keyringFileStore is the store of a keyring that is a file.
func keyringFileStore(c *config.Config, data *dataDir) *keys.FileStore {
	if path := c.KeyringFile(); path != "" {
		return &keys.FileStore{Path: path, GroupReadable: true}
	}
	return &keys.FileStore{Path: data.file(keyringFile)}
}

// keyringCodec returns how the keyring is stored: see [config.KeyringWrapping].
func keyringCodec(c *config.Config) (*keys.Codec, error) {
	var all []keys.Wrapper
	w := c.KeyringWrapping
	commands := &keys.CommandWrapper{WrapArgs: w.Wrap, UnwrapArgs: w.Unwrap, Timeout: w.Timeout}
	if len(w.Wrap) > 0 {
		all = append(all, commands)
	}
	for _, k := range []struct{ file, text, variable string }{
		{w.KeyFile, c.WrappingKeys.Key, "GATEHOUSE_KEYRING_KEY"},
		{w.FormerKeyFile, c.WrappingKeys.Former, "GATEHOUSE_KEYRING_FORMER_KEY"},
	} {
		text, source := k.text, k.variable
		if k.file != "" {
			read, err := token.ReadPrivate(k.file, 0o037) // as secrets are mounted in containers
			if err != nil {
				return nil, fmt.Errorf("the key that wraps the keyring: %w", err)
			}
			text, source = string(read), k.file
		}
		if text == "" {
			continue
		}
		wrapper, err := keys.NewKeyWrapper(text, source)
		if err != nil {
			return nil, err
		}
		all = append(all, wrapper)
	}
	if len(w.Unwrap) > 0 && len(w.Wrap) == 0 {
		all = append(all, commands)
	}
	if len(all) == 0 {
		return &keys.Codec{}, nil
	}
	return &keys.Codec{Wrapper: all[0], Former: all[1:]}, nil
}

// accessKeysOf are the access keys that depend on a key of the keyring.
func (p *components) accessKeysOf(keyID string) []keys.AccessKey {
	var all []keys.AccessKey
	for _, k := range p.iam.DerivedFrom(keyID) {
		all = append(all, keys.AccessKey{Account: k.Owner.Account, User: k.Owner.User, ID: k.ID, Active: k.Active})
	}
	return all
}

// storedKeyring reads the keyring of a server that does not run; nil if there is none.
func storedKeyring(ctx context.Context, c *config.Config, data *dataDir, d *db.DB) (*token.Keyring, error) {
	codec, err := keyringCodec(c)
	if err != nil {
		return nil, err
	}
	stored := keys.Stored{Store: keyringFileStore(c, data), Codec: codec}
	if c.Keyring == config.InDatabase {
		stored.Store = &keys.DBStore{DB: d}
	}
	content, err := stored.Keys(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keyring in %s: %w", stored.Store, err)
	}
	return token.NewKeyring(content, time.Now, nil)
}

// StoredKeyring is the keyring of a server that does not run. Close it at the end.
type StoredKeyring struct {
	*keys.Stored
	close func() error
}

// Close releases the data folder.
func (s *StoredKeyring) Close() error { return s.close() }

// OpenStoredKeyring opens the keyring of a configuration, of which no server may run:
// the error is [ErrDataInUse] otherwise.
func OpenStoredKeyring(ctx context.Context, c *config.Config) (*StoredKeyring, error) {
	codec, err := keyringCodec(c)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.Data); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	data, err := openData(c.Data)
	if err != nil {
		return nil, err
	}
	if c.Keyring != config.InDatabase {
		return &StoredKeyring{&keys.Stored{Store: keyringFileStore(c, data), Codec: codec, Shared: c.Database != config.SQLite}, data.close}, nil
	}
	d, err := data.openDatabase(ctx, c.Database)
	if err != nil {
		return nil, errors.Join(err, data.close())
	}
	closeAll := func() error { return errors.Join(d.Close(), data.close()) }
	store, err := keys.NewDBStore(ctx, d)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	return &StoredKeyring{&keys.Stored{Store: store, Codec: codec, Shared: d.Shared()}, closeAll}, nil
}

// OpenKeyringFile opens a keyring file that stands alone, such as the source of a file
// that is mounted into several servers. c says how it is wrapped.
func OpenKeyringFile(c *config.Config, path string) (*StoredKeyring, error) {
	codec, err := keyringCodec(c)
	if err != nil {
		return nil, err
	}
	stored := &keys.Stored{Store: &keys.FileStore{Path: path, GroupReadable: true}, Codec: codec}
	return &StoredKeyring{stored, func() error { return nil }}, nil
}
