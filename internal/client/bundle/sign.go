package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Namespace is the namespace of the signatures, for ssh-keygen -Y verify -n.
const Namespace = "gatehouse-bundle"

// ParsePrivateKey reads an OpenSSH or PEM private key. passphrase is asked for if the key
// is encrypted.
func ParsePrivateKey(text []byte, passphrase func() ([]byte, error)) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(text)
	var encrypted *ssh.PassphraseMissingError
	if !errors.As(err, &encrypted) {
		return signer, err
	}
	secret, err := passphrase()
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKeyWithPassphrase(text, secret)
}

// ParsePublicKeys reads public keys as they are in id_ed25519.pub or authorized_keys, one
// a line.
func ParsePublicKeys(text []byte) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not a public key as in id_ed25519.pub", number)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the file has no public key")
	}
	return keys, nil
}

func sign(sums []byte, key ssh.Signer) ([]byte, error) {
	signature, err := sshsig.Sign(bytes.NewReader(sums), key, sshsig.HashSHA512, Namespace)
	if err != nil {
		return nil, err
	}
	return sshsig.Armor(signature), nil
}

// verify returns the key that has signed, which must be one of keys.
func verify(sums, armored []byte, keys []ssh.PublicKey) (ssh.PublicKey, error) {
	signature, err := sshsig.Unarmor(armored)
	if err != nil {
		return nil, fmt.Errorf("the signature cannot be read: %w", err)
	}
	for _, key := range keys {
		if err := sshsig.Verify(bytes.NewReader(sums), signature, key, signature.HashAlgorithm, Namespace); err == nil {
			return key, nil
		}
	}
	known := make([]string, len(keys))
	for i, key := range keys {
		known[i] = ssh.FingerprintSHA256(key)
	}
	return nil, fmt.Errorf("the bundle is not signed by a trusted key: it claims %s, and trusted is %s", ssh.FingerprintSHA256(signature.PublicKey), strings.Join(known, ", "))
}
