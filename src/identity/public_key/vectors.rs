//! Public keys, and signatures by their private halves: made by OpenSSL 3 (`openssl dgst -sign`, `openssl pkeyutl -sign -rawin`), those of ECDSA
//! as two numbers. The private halves are gone. Each signs its header of `alg` and `typ`, and [`PAYLOAD`].

use crate::policy::Algorithm;

/// `{"user_id":"user-42","plan":"pro","exp":4102444800}`, in base64url.
pub(in super::super) const PAYLOAD: &str = "eyJ1c2VyX2lkIjoidXNlci00MiIsInBsYW4iOiJwcm8iLCJleHAiOjQxMDI0NDQ4MDB9";
pub(in super::super) const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsWwAiYFYAOfh1sd5MDr/\nGr6HX4Uk9ypcgCUfl6z7xd8uM4PCGkpZqE5mMPkeistpGpCJ/Sm7kK6Jrio5kYOB\nyatRHByG2GiG6fqsLDMK/74M0krz8h1U3lo9UyrVhhQowxRYUACHanrtBgRIP8zW\n3AiRz3dTXAnPyQiaRWejVoV4oyuxfO+nYxVmZugAz/QaSUrLhMFGklf64nw5ydjc\n29Jt8R6pxOTEiNkDQo5yP/IipVYXO4lVOjmxRgocGeKf2VYPQl77Zy/9/K2xs1U7\nA3xUwJh+bx5ROHI9C6wzgxk0q+djoBVH8Nvf1vIjxmpVykpa602bTWnlkkHrwVc6\ngQIDAQAB\n-----END PUBLIC KEY-----\n";
pub(in super::super) const RSA_PKCS1_PEM: &str = "-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEAsWwAiYFYAOfh1sd5MDr/Gr6HX4Uk9ypcgCUfl6z7xd8uM4PCGkpZ\nqE5mMPkeistpGpCJ/Sm7kK6Jrio5kYOByatRHByG2GiG6fqsLDMK/74M0krz8h1U\n3lo9UyrVhhQowxRYUACHanrtBgRIP8zW3AiRz3dTXAnPyQiaRWejVoV4oyuxfO+n\nYxVmZugAz/QaSUrLhMFGklf64nw5ydjc29Jt8R6pxOTEiNkDQo5yP/IipVYXO4lV\nOjmxRgocGeKf2VYPQl77Zy/9/K2xs1U7A3xUwJh+bx5ROHI9C6wzgxk0q+djoBVH\n8Nvf1vIjxmpVykpa602bTWnlkkHrwVc6gQIDAQAB\n-----END RSA PUBLIC KEY-----\n";
pub(in super::super) const RSA_1024_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDLdIdjfUxTfd5wLH73qxHIo1yu\nwofQL2p4OfehrWZBqYJAkHIH7EUYLJAzrPt5ttgD65NBh2TDAPSl+//qs/dZVhVm\nAayyDIWI7swyiUdTPyhrR+t55aano0TK7KntXjIifAWnz1sRt5Ffffxg3e9I/roj\nw3+xOxfrYWqlaAIA6wIDAQAB\n-----END PUBLIC KEY-----\n";
pub(in super::super) const P256_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECEc1cPKDjsUPj25h99rWDuMGRaj/\nObcaB/u6DrbvKsFDzm8LVVUUSKNd4tpaaIXt5apOMZ81DGgAiBJtjuLVxg==\n-----END PUBLIC KEY-----\n";
pub(in super::super) const P384_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEngDhkxczPvgjXMPrjRl/3U7ZlFddmIDB\np3PxIHSz83af8SnrlPhA7rkzNfpVg3Qv0TeQMZWC18e5G7qNRlg3rV3Vc4YVHJMt\n9iWXxub1r5GIZZtztNah1SoJx+6CJjs/\n-----END PUBLIC KEY-----\n";
pub(in super::super) const P521_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBx9MZ/ztCk8HoWQJuVM6ktPuibygJ\nkAYNjUj4Xulg1TrNcyYnNTwRSUacfBAWL/ylV5jFew7FJ3VdmZfFTPBBMMwAC4NH\npe1wvmoWLtkHs2lzbccXIgfIrtahplmseEghsfeS0uLTFYX4af+heIe3W5EDgILo\nt/ivBFPwMiynFHmpEjw=\n-----END PUBLIC KEY-----\n";
pub(in super::super) const ED_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA1+ikR9gJ4gujd8JoetZB1xPPuCLagQmg39Rf2gWk8eM=\n-----END PUBLIC KEY-----\n";
/// The modulus of [`RSA_PEM`], in base64url.
pub(in super::super) const RSA_N: &str = "sWwAiYFYAOfh1sd5MDr_Gr6HX4Uk9ypcgCUfl6z7xd8uM4PCGkpZqE5mMPkeistpGpCJ_Sm7kK6Jrio5kYOByatRHByG2GiG6fqsLDMK_74M0krz8h1U3lo9UyrVhhQowxRYUACHanrtBgRIP8zW3AiRz3dTXAnPyQiaRWejVoV4oyuxfO-nYxVmZugAz_QaSUrLhMFGklf64nw5ydjc29Jt8R6pxOTEiNkDQo5yP_IipVYXO4lVOjmxRgocGeKf2VYPQl77Zy_9_K2xs1U7A3xUwJh-bx5ROHI9C6wzgxk0q-djoBVH8Nvf1vIjxmpVykpa602bTWnlkkHrwVc6gQ";

/// By algorithm: the key, and the signature.
pub(in super::super) const SIGNED: [(Algorithm, &str, &str); 10] = [
    (
        Algorithm::Rs256,
        RSA_PEM,
        "c1Td_WJx5Bjjgf8TpxgP_Qxn9pSnRG3sRyVz5lada3GcApVjw4nN2SDgQwwd0_nOo6_gCad0I33mKTKU5jsel_HQ5OzF1HhJ3e7fajo_NKetNOgc1YAWz83YENax5TzAlLGknuxBDgR4jU-1IBfwgktOaDaMe2kBHqehZozkbL4ptYbFRMdLe0GorO1GtVvpauAoXQTdpmh_MbWemILh5qTNc_48vc4lkkmfT7iVcK7Lk65r5gxF0n4UwwykH2zp3BDAy-drZRYtkooRuPGHgUxa89pd7Ks64Ywy1rSxwFLnejW0JIcHqZyDqpBUdo3cARyqXZd7XAKDtWfJ4RtGJw",
    ),
    (
        Algorithm::Rs384,
        RSA_PEM,
        "MEOHxmbL9m1vZRLmHvXt1tGxWi66JIlMGLfPumsIQsnUWJcB_HNzU8xI4L3-EvzrImwUP_DxVyy0r-lAb_aYQwwmq6uYuCck9tEojBpxrALGhavu0Ne4bPirJwZBj6DIjrvfKoRiaiakkp57GtAWtbTVmmbKssw3S984azwRqBi4J5dgbLUmYwcrWSQptZFijw2F7udJIP31AhZYrMOgJh8XgwQngFUUTiiLDDlrnDHUfeac7oKctXBGsgciMKkfIxbmZjoT3rt-EyXdhbdDobrt9DWmrzrodeCT3ALPzAxx8D9KvJZUzwAug7Ou7rqMdAd47WkN9A3Xnvhv32LiRQ",
    ),
    (
        Algorithm::Rs512,
        RSA_PEM,
        "Su7Rifr11jWMvEBB0o7RYM8o7-uF_vmDDKNXhJvqrFSV1a5069rfb6UWTaCyQGmccVL-z7Ztgdb5Px_ZdzTUtKFp74ENOTQcnu1Of3LWaTnIf55vZK5EQx8toRtJ9jyFLKmoyI6sMD6cwAbNe6JynHbU8eb4s1iZQ0OWWKYwT5nmXpg542pY2cWk4a-5JZe2uenj4edmT31CMJ_QsLItUe6kI5NOZbNyN3a7zZGi38NeeK6roSQLaWPOfsaar78gFuD7GC_N06scRiVzwi-wSSNy3zyT2RHk8X6Rk-ia6KmNbab3AkvjvqRgj5CfjjSN6F8Nec2tfQccCDyZhxKk2Q",
    ),
    (
        Algorithm::Ps256,
        RSA_PEM,
        "QSLAf30xPK7dHgcg3oiYBLkN5ytLiYXq7pmpQznmGNhfYjaXannGmGNmQOdiawsDWQK6zG4hkL7OTlRT9IN5vpiLRcOmWakS8addeQh0VBa8kFUk9mnSMW_cFDxtlXLnMvi4luRvcIQua45UQU2nYQJJXU9L24S_d2nZ3-g8Sf7IFfALUQrfSgQqc4CtFKhpVFR8Po623em4JdZvpbHW5w4MNYd0lyYmqvD32KEJH6O0jbBxKLQ85m_afgEYUhibVpu1ZAppjLPnuwus0UVLqEH2bBw-XpBPetx9hZJXjMqmf7ISMtKSRxkRs1mImcHJTlmxNnfTZTcHpnWNFY7HqA",
    ),
    (
        Algorithm::Ps384,
        RSA_PEM,
        "LIChEgDxzYPYIxQ908KuSbRA1LmdFB1CxPpP0gqcx6q_4whEy67Jm4N4Z0DjyVGLo1C4kXSWd9lflkVpTokuaoUCY5awOGHffv6xkllhq-4v-agcUdphHVTp5JgyIEDi8fS9Kh7PrImSMshYfXAxSgv5myZuEJ8dWrOK7-0vH-JLAra-W4zJG7OKtY4DiG5cLOp5U9cY8NqUnLCelFL6lxCwPCqn5GxYtjUCPRaazio9yAG2o8Jo8NV_M32V8-MGtag-mlom4r84g77B08_D2oelkntUrWScGx2gDibtM6UTR6Xv-9Yu5VWyuBqNJEFqp1WmW0pOEz6leHWXtHtuVg",
    ),
    (
        Algorithm::Ps512,
        RSA_PEM,
        "VGBbjpbE4v7JAI1O6rnZI7XOXX8trVd67kit-zGYWCIh6IuftUU3WrM3bGPC5Kn2m1kUYc9a1Rd09Q_7OpLFVVGW--3letNBV_JgsnozUPBqkzpH2zuhSp_AiBiSNRNWEXp82QdzsZbuTjW_A8WUQXQO5e3jPoO1FGjhAxwbynNWTHB74Ml-JNX3qHhmzGxP-orB49JbJWF61b348KBy9wiCwc1ALDQjzotGofQ7KQ91GF1kgelZy2aLIabxYb3gyaXTjfMSk8FD4nsMPV2T0ObV5f-ASIgAWxU-T4O89wmOnsr-0XU6Rjo6ZgaPMgomjasOMlFdQYk-TTva9uYWfg",
    ),
    (
        Algorithm::Es256,
        P256_PEM,
        "Xq_BZ2k_WwQsq0erVPn4VnEMalnjhsY1vl3l3A6FNu0CuH5oKkjPeyoGY1DV9I6Z-CCG0kUHBg6uw9MnmZlv0A",
    ),
    (
        Algorithm::Es384,
        P384_PEM,
        "YxbltJNhPPxhCb6PcWiABQLv-Ob7-uI21YoTrKp8G4kjvq111MQdZlOOhHYWH3i4pHYO6gAl-LolT0t0UAHk9rpw1kWVCg1TEhpk6PnYZGCYxVM2YIC3oWzVx_67zeF8",
    ),
    (
        Algorithm::Es512,
        P521_PEM,
        "ANy3m8GgWLwaZIk5DyZW4bhLtbWN4v9Q73AW8jdh7kftEEO7uMtqa7_1kQ67jfMk8DXg2rcOprGHkM9KCxtLDPDhAYuskYPxB53Ks1F0GXUsv9rxUykRXD2Kc3jbrpqd6YdGFrXxlob6NHO9g8GUwyd-6jOhM5udlpbVJMwWPw2IldtI",
    ),
    (
        Algorithm::EdDsa,
        ED_PEM,
        "shHeQLH2vILPIqExOoafhH9WqeQNTUUJXgYpC-n3sADlZpeErYGKaHJ5h9jszUL4SQ3smwA8a8bdadAgrvo_Ag",
    ),
];
