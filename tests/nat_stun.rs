//! Our STUN codec, asked by an independent client: the crate `stun-client`.

use std::net::SocketAddr;

use stun_client::{Attribute, Client};
use tokio::net::UdpSocket;
use twocans::nat;

#[test]
fn an_independent_client_learns_its_address_from_our_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serve = async {
            let mut buffer = [0; 1500];
            let (len, from) = server.recv_from(&mut buffer).await.unwrap();
            let answer = nat::answer(&buffer[..len], from).expect("a Binding request");
            server.send_to(&answer, from).await.unwrap();
            from
        };
        let ask = async {
            let mut client = Client::new("127.0.0.1:0", None).await.unwrap();
            client.binding_request(address, None).await.unwrap()
        };
        let (asker, response): (SocketAddr, _) = tokio::join!(serve, ask);
        assert_eq!(Attribute::get_xor_mapped_address(&response), Some(asker));
    });
}
