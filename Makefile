# `make run` and `make test` are all that a newcomer needs; `make` lists the rest.

CARGO_FLAGS := $(if $(CI),--locked)
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Tools that the checks need and the machine lacks are built here, out of the way of the user's own.
TOOLS := $(TARGET)/tools
export PATH := $(PATH):$(TOOLS)/bin
export TWOCANS_SKIP_LOG := $(TARGET)/skipped.log

CARGO_DENY_VERSION := 0.20.2
CARGO_DEB_VERSION := 3.8.0

.PHONY: help run test check bench mos audit package package-test setup icon

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## build twocans and open it; without a screen, run a call on this machine
	@.ci/rust
	@.ci/packages build
	cargo build --release $(CARGO_FLAGS)
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then \
		.ci/packages desktop && exec $(TARGET)/release/twocans; \
	else \
		exec $(TARGET)/release/twocans demo; \
	fi

# What runs in virtual time or on loopback runs side by side. Whole calls run in real time and one after another: two of
# them on one machine would measure each other. One failure does not keep the others from being seen.
test: ## run all tests
	@.ci/rust
	@.ci/packages build test
	@.ci/interop $(TOOLS)
	@mkdir -p $(TARGET) && rm -f $(TWOCANS_SKIP_LOG)
	cargo test $(CARGO_FLAGS) --no-fail-fast --lib --bins --test 'sim_*'
	cargo test $(CARGO_FLAGS) --no-fail-fast --test '[!s]*' --test 's[!i]*' -- --test-threads=1
	@.ci/skipped $(TWOCANS_SKIP_LOG)

GUI_CRATES := eframe|egui|egui-winit|egui_glow|winit|glutin|accesskit|zbus|ksni|ashpd|x11rb|arboard

check: setup ## formatting, lints, documentation, licences, the house rules
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps --document-private-items
	@echo "without the desktop client:"
	cargo check $(CARGO_FLAGS) --no-default-features
	@! cargo tree $(CARGO_FLAGS) --no-default-features --edges normal --prefix none | grep -E '^($(GUI_CRATES)) '
	cargo deny check bans licenses sources
	cargo test $(CARGO_FLAGS) --test architecture

bench: ## measure the parts and whole calls
	@.ci/rust
	@.ci/packages build
	cargo bench $(CARGO_FLAGS)

# The models are Microsoft's of human listeners, in a Python package.
MOS_PACKAGES := speechmos==0.0.1.1 onnxruntime==1.32.0 numpy==2.4.6 librosa==0.11.0 soundfile==0.14.0 pandas==3.1.1 \
	requests==2.34.2 tqdm==4.70.1

mos: ## judge the voice after loss and noise by PLCMOS and DNSMOS
	@.ci/rust
	@.ci/packages build
	@test -d $(TOOLS)/mos || { python3 -m venv $(TOOLS)/mos && $(TOOLS)/mos/bin/pip install -q $(MOS_PACKAGES); }
	@rm -rf $(TARGET)/sounds && mkdir -p $(TARGET)/sounds
	TWOCANS_KEEP_SOUNDS=$(TARGET)/sounds cargo test $(CARGO_FLAGS) --test sim_voice --test sim_apm -- bursts_of strong_suppression
	@$(TOOLS)/mos/bin/python benches/mos/score.py $(TARGET)/sounds

audit: setup ## look for known vulnerabilities; fetches their database from the internet
	cargo deny check advisories

package: ## build a Debian package and an archive for other systems, into target/package
	@.ci/rust
	@.ci/packages build package
	@command -v cargo-deb >/dev/null \
		|| cargo install --locked --debug --root $(TOOLS) --target-dir $(TOOLS)/build cargo-deb@$(CARGO_DEB_VERSION)
	cargo build --release $(CARGO_FLAGS)
	@.ci/package $(TARGET)

package-test: ## install that package in a new Debian and try it there; needs root and a Debian mirror
	@.ci/packages package-test
	@.ci/package-test $(TARGET)/package

setup: ## install what the tests and checks need
	@.ci/rust
	@.ci/packages build test
	@.ci/interop $(TOOLS)
	@command -v cargo-deny >/dev/null \
		|| cargo install --locked --debug --root $(TOOLS) --target-dir $(TOOLS)/build cargo-deny@$(CARGO_DENY_VERSION)

icon: assets/icon.png $(patsubst %,assets/linux/icons/%.png,16 24 32 48 64 128 512) ## draw the icon's PNGs anew from its SVG

assets/icon.png: assets/icon.svg
	rsvg-convert --width 256 --height 256 $< --output $@

assets/linux/icons/%.png: assets/icon.svg
	rsvg-convert --width $* --height $* $< --output $@
