// Package signing holds signing profiles with the rules of AWS Signer, and makes and verifies
// signatures of images in the form of the Notary Project (https://notaryproject.dev). It has
// no HTTP: the handler is api/signerapi. Package images decides what is signed, and stores the
// signatures.
//
// A [Service] has the operations. A profile belongs to an account in a region. Each account
// has a root certificate, and each profile has keys with certificates of that root. Whoever
// trusts the root, and checks the subject of the certificate, trusts the profile.
//
// # Keys
//
// The keys are ECDSA on P-384, as on AWS. They are stored encrypted by a key of the keyring,
// bound to their place; [Service.Reseal] encrypts them anew after a rotation of the keyring. A
// profile gets a new key every 90 days, and whenever it is put again. Certificates of older
// keys stay valid for as long as the signatures that they made.
//
// # Authorization
//
// The first step of each operation of a client is authorization, with the action that the
// comment of the method names, on the ARN of the profile. [Service.Sign] and [Service.Verify]
// are for the server itself: who may sign was decided when the image was pushed. Root
// certificates are public.
//
// This package must not import a handler, or another domain package except authz.
package signing
