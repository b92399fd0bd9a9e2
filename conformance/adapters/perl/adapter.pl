#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The adapter of the codec beside it, for the conformance suite. All that the adapter protocol asks for is here:
#
#     callchannel-conformance run --adapter "perl adapter.pl"
#
# It needs Perl 5.20 or newer with 64-bit integers, and nothing that does not come with it.
use v5.20;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Codec qw(decode_packet encode_frame);

my %ANSWER = (
    hello => sub {
        return {
            protocol => 1, name => 'a codec in Perl', version => '0.1', document => '0.1', wire => 1,
            profiles => ['codec'], features => [], limits => {},
        };
    },
    reset  => sub { return {} },
    decode => sub { my ($r) = @_; return decode_packet( pack( 'H*', $r->{packet} ), $r->{lane} ) },
    encode => sub { my ($r) = @_; return { packet => unpack 'H*', encode_frame( $r->{frame} ) } },
);

my $json = JSON::PP->new->utf8->canonical;
$| = 1;
while ( my $line = <STDIN> ) {
    my $request = $json->decode($line);
    my $answer  = $ANSWER{ $request->{op} };
    my %reply   = $answer
        ? ( ok => { value => $answer->($request) } )
        : ( err => { code => 'UNSUPPORTED', detail => "no op $request->{op}" } );
    print $json->encode( { id => $request->{id}, %reply } ), "\n";
}
