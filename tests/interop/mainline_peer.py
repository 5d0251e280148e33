"""A node of the BitTorrent DHT that is not ours (libtorrent): keeps what is announced, and says so.

usage: mainline_peer.py ADDRESS PORT [TOPIC]

Prints "ready", then each second with TOPIC the peers that it finds under it.
"""

import hashlib
import sys
import time

import libtorrent

address, port, *topic = sys.argv[1:]
session = libtorrent.session(
    {
        "listen_interfaces": f"{address}:{port}",
        "dht_bootstrap_nodes": "",
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        # In a laboratory everybody has neighbouring addresses, and none of them is secured by its id (BEP 42).
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_enforce_node_id": False,
        "dht_prefer_verified_node_ids": False,
        "dht_ignore_dark_internet": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": libtorrent.alert.category_t.dht_notification | libtorrent.alert.category_t.dht_operation_notification,
    }
)
print("ready", flush=True)
while True:
    time.sleep(0.5)
    for alert in session.pop_alerts():
        if isinstance(alert, libtorrent.dht_announce_alert):
            print("announced", alert.ip, alert.port, str(alert.info_hash), flush=True)
        if isinstance(alert, libtorrent.dht_get_peers_alert):
            print("asked", str(alert.info_hash), flush=True)
