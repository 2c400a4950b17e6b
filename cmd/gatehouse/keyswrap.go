package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
)

type keysWrapCommand struct{ keyringFlags }

// Help is what --help shows below the flags.
func (keysWrapCommand) Help() string {
	return `The keyring is encrypted with GATEHOUSE_KEYRING_KEY, or as keyring_wrapping of the configuration says. Keep the key apart from the backups of the keyring: one is of no use without the other.

Examples:

  export GATEHOUSE_KEYRING_KEY="$(openssl rand -base64 32)"
  gatehouse keys wrap --data /var/lib/gatehouse
  gatehouse keys wrap --config /etc/gatehouse/gatehouse.yaml`
}

// Run wraps the keyring.
func (c *keysWrapCommand) Run(ctx context.Context, stdout io.Writer) error {
	err := c.store(ctx, stdout, func(k *app.StoredKeyring) (from, to *keys.Codec, err error) {
		if k.Codec.Wrapper == nil {
			return nil, nil, usageError{errors.New("nothing says how to wrap the keyring: set GATEHOUSE_KEYRING_KEY, or keyring_wrapping in the configuration")}
		}
		return &keys.Codec{}, k.Codec, nil
	})
	if errors.Is(err, keys.ErrWrapped) {
		return errors.New("the keyring is wrapped already; gatehouse keys rewrap wraps it with another key or command")
	}
	return err
}

type keysUnwrapCommand struct{ keyringFlags }

// Help is what --help shows below the flags.
func (keysUnwrapCommand) Help() string {
	return `The keyring is decrypted as keyring_wrapping of the configuration or GATEHOUSE_KEYRING_KEY says, and stored as a plain file of mode 0600. Start the server without these settings.

Examples:

  gatehouse keys unwrap --data /var/lib/gatehouse
  gatehouse keys unwrap --config /etc/gatehouse/gatehouse.yaml`
}

// Run stores the keyring as it is.
func (c *keysUnwrapCommand) Run(ctx context.Context, stdout io.Writer) error {
	return c.store(ctx, stdout, func(k *app.StoredKeyring) (from, to *keys.Codec, err error) {
		return k.Codec, &keys.Codec{}, nil
	})
}

type keysRewrapCommand struct{ keyringFlags }

// Help is what --help shows below the flags.
func (keysRewrapCommand) Help() string {
	return `The keyring is decrypted with the former key or command, and encrypted with the new one. The former key is GATEHOUSE_KEYRING_FORMER_KEY or keyring_wrapping.former_key_file, and a former command keyring_wrapping.unwrap. If several servers share the keyring, start all of them with both settings first, then rewrap, then remove the former one.

Examples:

  export GATEHOUSE_KEYRING_FORMER_KEY="$GATEHOUSE_KEYRING_KEY"
  export GATEHOUSE_KEYRING_KEY="$(openssl rand -base64 32)"
  gatehouse keys rewrap --config /etc/gatehouse/gatehouse.yaml`
}

// Run stores the keyring wrapped anew.
func (c *keysRewrapCommand) Run(ctx context.Context, stdout io.Writer) error {
	return c.store(ctx, stdout, func(k *app.StoredKeyring) (from, to *keys.Codec, err error) {
		if k.Codec.Wrapper == nil {
			return nil, nil, keys.ErrWrapped
		}
		return k.Codec, k.Codec, nil
	})
}

// store stores the same keys in another form.
func (f keyringFlags) store(ctx context.Context, stdout io.Writer, choose func(*app.StoredKeyring) (from, to *keys.Codec, err error)) error {
	if !f.offline() {
		return usageError{errors.New("name the keyring with --data, --config or --file")}
	}
	return f.use(ctx, func(k *app.StoredKeyring) error {
		from, to, err := choose(k)
		if err != nil {
			return err
		}
		k.Codec = from
		if err := k.Rewrap(ctx, to); err != nil {
			return err
		}
		form := "not wrapped"
		if to.Wrapper != nil {
			form = "wrapped by a " + to.Wrapper.Name()
		}
		_, err = fmt.Fprintf(stdout, "the keyring in %s is %s\n", k.Store, form)
		return err
	})
}
