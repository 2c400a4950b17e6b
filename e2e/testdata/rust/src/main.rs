//! Asks for an ECR authorization token with a request that the signer of the AWS
//! SDK for Rust signs, and prints the answer's body. The address is in $URL, and
//! the credentials in the variables that AWS tools read.

use std::io::{Read, Write};
use std::time::SystemTime;
use std::{env, net::TcpStream};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{sign, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("URL")?;
    let host = url.trim_start_matches("http://").to_string();
    let body = "{}";
    let mut headers = vec![
        ("host".to_string(), host.clone()),
        ("content-type".to_string(), "application/x-amz-json-1.1".to_string()),
        ("content-length".to_string(), body.len().to_string()),
        ("x-amz-user-agent".to_string(), "aws-sdk-rust".to_string()),
        (
            "x-amz-target".to_string(),
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken".to_string(),
        ),
    ];
    let identity = Credentials::new(
        env::var("AWS_ACCESS_KEY_ID")?,
        env::var("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("ecr")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let request = SignableRequest::new(
        "POST",
        format!("{url}/"),
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        SignableBody::Bytes(body.as_bytes()),
    )?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    for (name, value) in instructions.headers() {
        headers.push((name.to_string(), value.to_string()));
    }

    let mut text = String::from("POST / HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(host)?;
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{}", answer.split_once("\r\n\r\n").ok_or("no body")?.1);
    Ok(())
}
