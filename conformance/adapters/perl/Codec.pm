# SPDX-License-Identifier: Apache-2.0
# A codec of callchannel, written from chapter 3 of the standard alone: what an adapter is for, and no part of it.
# Frames are as in the test vectors. `decode_packet` gives the frames before the first fault, and its code or undef;
# `encode_frame` takes valid frames.
package Codec;
use v5.20;
use warnings;
use Exporter 'import';
use JSON::PP;

our @EXPORT_OK = qw(decode_packet encode_frame);

my ( $TRUE, $FALSE ) = ( JSON::PP::true, JSON::PP::false );

my %NAME = (    # section 3.4
    0x01 => 'DATA',   0x02 => 'CLOSE', 0x03 => 'FAIL',    0x04 => 'REFUSE', 0x05 => 'RECEIPT', 0x06 => 'CREDIT',
    0x07 => 'ROSTER', 0x41 => 'HELLO', 0x42 => 'WELCOME', 0x43 => 'ACK',    0x44 => 'BYE',
);
my %TYPE  = reverse %NAME;
my %LEAST = ( DATA => 16, ROSTER => 8, HELLO => 51, WELCOME => 53, ACK => 12, BYE => 6 );    # else 22: CC-FRAME-013
my %FLAGS = ( DATA => 0xFF, FAIL => 1, ROSTER => 3, HELLO => 3 );                            # else 0: CC-FRAME-012
my %SWITCHES = ( FAIL => ['uncertain'], ROSTER => [ 'snapshot', 'more' ], HELLO => [ 'resume', 'replace' ] );
my %BIT      = ( RELIABLE => 1, HIGH => 2, PRIVATE => 0x10, CONFIRM => 0x20, LATEST => 0x40 );
my %OP       = ( 1 => 'JOIN', 2 => 'LEAVE', 3 => 'SUSPENDED', 4 => 'RESUMED' );
my %OP_OF    = reverse %OP;
my @LINK     = qw(token attempt received window largest_message);
my %LAYOUT   = (    # of the fixed part behind the first four bytes: what unpack and pack take, and the fields
    DATA    => [ 'n n N N',     qw(channel sender session sequence) ],
    CONTROL => [ 'n n N Q> n',  qw(sender recipient session value reason) ],
    HELLO   => [ 'N n N H32 N Q> N N',   qw(magic version features), @LINK ],
    WELCOME => [ 'n n N H32 N Q> N N N', qw(version slot features),  @LINK, 'resume_ms' ],
    ACK     => [ 'Q>', 'received' ],
    BYE     => [ 'n',  'code' ],
    ROSTER  => [ 'N',  'epoch' ],
);
my $UTF8 = qr/\A (?: [\x00-\x7F] | [\xC2-\xDF][\x80-\xBF] | \xE0[\xA0-\xBF][\x80-\xBF]
    | [\xE1-\xEC\xEE\xEF][\x80-\xBF]{2} | \xED[\x80-\x9F][\x80-\xBF] | \xF0[\x90-\xBF][\x80-\xBF]{2}
    | [\xF1-\xF3][\x80-\xBF]{3} | \xF4[\x80-\x8F][\x80-\xBF]{2} )* \z/x;    # CC-FRAME-095

sub need { my ( $good, $code ) = @_; die( ( $code // 'FRAME_FORMAT' ) . "\n" ) unless $good; return }
sub text { my ($bytes) = @_; need( $bytes =~ $UTF8 ); utf8::decode($bytes); return $bytes }
sub bytes_of { my ($text) = @_; utf8::encode($text); return $text }
sub truth { return $_[0] ? $TRUE : $FALSE }
sub layout { my ($name) = @_; return @{ $LAYOUT{$name} // $LAYOUT{CONTROL} } }

# --- bytes to frames, in the order of section 3.15 -------------------------------------------------------------------

sub decode_packet {
    my ( $packet, $lane ) = @_;
    my $reliable = $lane eq 'reliable';
    my ( @frames, $fault );
    eval {
        need( length $packet && length $packet <= ( $reliable ? 16_384 : 1_150 ), 'PACKET_SIZE' );    # step 2
        while ( length $packet ) {
            need( length $packet >= 4, 'FRAME_LENGTH' );                                               # step 3
            my ( $type, $flags, $length ) = unpack 'C C n', $packet;
            need( $length >= 4 && $length <= length $packet, 'FRAME_LENGTH' );
            my ( $name, $frame ) = ( $NAME{$type}, substr $packet, 0, $length, '' );
            need( $name || $type & 0x80,                                        'UNKNOWN_TYPE' );      # step 4
            need( $reliable || $type & 0x80 || ( $type == 1 && !( $flags & 1 ) ), 'WRONG_LANE' );      # step 6
            push @frames, $name ? decode_frame( $name, $flags, $frame )
                : { type => 'UNKNOWN', number => $type, flags => $flags, body => unpack 'x4 H*', $frame };
        }
        1;
    } or $fault = $@ =~ s/\n\z//r;
    return { frames => \@frames, error => $fault };
}

sub decode_frame {
    my ( $name, $flags, $frame ) = @_;
    if ( $name eq 'HELLO' ) {    # step 7a
        need( length $frame >= 10 );
        my ( $magic, $version ) = unpack 'x4 N n', $frame;
        need( $magic == 0x43414C4C, 'HANDSHAKE' );
        need( $version == 1,        'VERSION' );
    }
    elsif ( $name eq 'WELCOME' ) {
        need( length $frame >= 6 );
        need( unpack( 'x4 n', $frame ) == 1, 'VERSION' );
    }
    need( !( $flags & ~( $FLAGS{$name} // 0 ) ) && length $frame >= ( $LEAST{$name} // 22 ) );    # step 7b
    my %f = ( type => $name );
    my ( $form, @names ) = layout($name);                                                         # step 8
    @f{@names} = unpack "x4 $form", $frame;
    my $rest = substr $frame, 4 + length pack $form, @f{@names};
    my @switches = @{ $SWITCHES{$name} // [] };
    $f{ $switches[$_] } = truth( $flags >> $_ & 1 ) for 0 .. $#switches;
    if    ( $name eq 'DATA' )   { decode_data( \%f, $flags, $rest ) }
    elsif ( $name eq 'ROSTER' ) { decode_entries( \%f, $rest ) }
    elsif ( $name eq 'ACK' )    { need( !length $rest ) }
    elsif ( $name eq 'BYE' )    { need( length $rest <= 255 ); $f{text} = text($rest) }
    elsif ( $name eq 'HELLO' || $name eq 'WELCOME' ) {
        my $size = ord substr $rest, 0, 1, '';
        need( $size == length $rest && $f{attempt} && $f{window} >= 65_536 && $f{largest_message} >= 32_768 );
        need( $name eq 'HELLO' ? $flags != 3 && ( $flags & 1 || !$f{received} ) : $f{slot} != 0xFFFF && $size );
        $f{id} = text($rest);
        delete @f{qw(magic version)};
    }
    else {
        my ( $value, $reason ) = @f{qw(value reason)};
        need( !length $rest && $f{sender} != 0xFFFF && $f{session} );
        need( $name eq 'CREDIT' || ( $value && $value <= ( $name eq 'FAIL' ? 2**32 : 2**32 - 1 ) ) );
        need( $name =~ /FAIL|REFUSE/ ? $reason : $name eq 'CLOSE' || !$reason );
    }
    return \%f;
}

sub decode_entries {
    my ( $f, $rest ) = @_;
    need( $f->{epoch} );
    $f->{entries} = [];
    while ( length $rest ) {
        need( length $rest >= 6 );
        my ( $op, $size, $slot, $reason ) = unpack 'C C n n', substr $rest, 0, 6, '';
        need( $OP{$op} && $slot != 0xFFFF && $size <= length $rest );
        need( ( $op == 1 ? $size : !$size ) && !( $reason && $op =~ /[14]/ ) );
        my $id = text( substr $rest, 0, $size, '' );
        push @{ $f->{entries} }, { op => $OP{$op}, slot => $slot, reason => $reason, id => $id };
    }
    return;
}

sub decode_data {
    my ( $f, $flags, $rest ) = @_;
    my $take = sub { my ($size) = @_; need( length $rest >= $size ); return substr $rest, 0, $size, '' };
    my ( $reliable, $fragment, $recipients, $private, $confirm, $latest, $extensions ) =
        map { $flags & $_ } 1, 4, 8, 0x10, 0x20, 0x40, 0x80;
    need( $f->{channel} && $f->{sender} != 0xFFFF && $f->{session} && $f->{sequence} );
    need( $reliable || length $rest <= 1_150 - 16 );
    need( !( $latest && ( $reliable || $fragment ) ) && ( $reliable || !$confirm ) );
    $f->{flags} = [ grep { $flags & $BIT{$_} } qw(RELIABLE HIGH PRIVATE CONFIRM LATEST) ];
    my ( $word, $total ) = $fragment ? unpack 'N N', $take->(8) : ();
    if ($recipients) {
        my ( $epoch, $count ) = unpack 'N n', $take->(6);
        my ( $except, $words, $last, @slots ) = ( $count & 0x8000, $count & 0x7FFF, -1 );
        need( $epoch && ( $words || $except ) && ( $reliable || $words <= 64 ) );
        need( $words ? $private : !$private && $confirm );
        for ( 1 .. $words ) {
            my ( $index, $bits ) = unpack 'n N', $take->(6);
            need( $bits && $index > $last && $index <= 2_047 && !( $index == 2_047 && $bits >> 31 ) );
            push @slots, map { 32 * $index + $_ } grep { $bits >> $_ & 1 } 0 .. 31;
            $last = $index;
        }
        $f->{recipients} = { epoch => $epoch, except => truth($except), slots => \@slots };
    }
    if ($extensions) {
        my ( $block, $last ) = ( $take->( unpack 'n', $take->(2) ), -1 );
        need( length $block );
        while ( length $block ) {
            need( length $block >= 4 );
            my ( $type, $size ) = unpack 'n n', substr $block, 0, 4, '';
            my ( $must, $number ) = ( truth( $type & 0x8000 ), $type & 0x7FFF );
            need( $size <= length $block && $number > $last );
            my $value = unpack 'H*', substr $block, 0, $size, '';
            push @{ $f->{extensions} }, { type => $last = $number, must_understand => $must, value => $value };
        }
    }
    $f->{payload} = unpack 'H*', $rest;
    return unless $fragment;
    my ( $end, $abort, $index, $size ) = ( $word >> 31, $word >> 30 & 1, $word & 0x3FFF_FFFF, length $rest );
    $f->{fragment} = { last => truth($end), abort => truth($abort), index => $index, total => $total };
    return need( !$end && $reliable && $index && !$size && !$recipients && !$extensions ) if $abort;
    need( $total ? $size && $size <= $total : $size || $end );
    need( $size == $total ) if $total && $end && !$index;
    return need( !$index || !$recipients && !$extensions ) if $reliable;
    need( $total && $total <= 65_536 && $index <= 127 && ( $end || $size >= 512 ) );
    need( @{ $f->{extensions} } == 1 && $f->{extensions}[0]{type} == 3 ) if $index && $extensions;
    return;
}

# --- frames to bytes -------------------------------------------------------------------------------------------------

sub encode_frame {
    my ($f) = @_;
    my $name = $f->{type};
    if ( $name eq 'UNKNOWN' ) {
        my $body = pack 'H*', $f->{body};
        return pack 'C C n a*', $f->{number}, $f->{flags}, 4 + length $body, $body;
    }
    my ( $form, @names ) = layout($name);
    my %fields = ( magic => 0x43414C4C, version => 1, %$f );
    my $body     = pack $form, @fields{@names};
    my @switches = @{ $SWITCHES{$name} // [] };
    my $flags    = 0;
    $flags |= 1 << $_ for grep { $f->{ $switches[$_] } } 0 .. $#switches;
    $body .= pack 'C/a*', bytes_of( $f->{id} ) if $name =~ /HELLO|WELCOME/;
    $body .= bytes_of( $f->{text} ) if $name eq 'BYE';
    for my $entry ( @{ $f->{entries} // [] } ) {
        my $id = bytes_of( $entry->{id} );
        $body .= pack 'C C n n a*', $OP_OF{ $entry->{op} }, length $id, @{$entry}{qw(slot reason)}, $id;
    }
    if ( $name eq 'DATA' ) {
        $flags |= $BIT{$_} for @{ $f->{flags} };
        $flags |= 4    if $f->{fragment};
        $flags |= 8    if $f->{recipients};
        $flags |= 0x80 if $f->{extensions};
        $body .= encode_blocks($f) . pack 'H*', $f->{payload};
    }
    return pack 'C C n a*', $TYPE{$name}, $flags, 4 + length $body, $body;
}

sub encode_blocks {
    my ($f) = @_;
    my $bytes = '';
    if ( my $part = $f->{fragment} ) {
        my $word = ( $part->{last} ? 1 << 31 : 0 ) | ( $part->{abort} ? 1 << 30 : 0 ) | $part->{index};
        $bytes .= pack 'N N', $word, $part->{total};
    }
    if ( my $block = $f->{recipients} ) {
        my %words;
        $words{ $_ >> 5 } |= 1 << ( $_ & 31 ) for @{ $block->{slots} };
        $bytes .= pack 'N n', $block->{epoch}, ( $block->{except} ? 0x8000 : 0 ) | keys %words;
        $bytes .= pack 'n N', $_, $words{$_} for sort { $a <=> $b } keys %words;
    }
    if ( my $list = $f->{extensions} ) {
        my $all = '';
        for my $one (@$list) {
            $all .= pack 'n n/a*', ( $one->{must_understand} ? 0x8000 : 0 ) | $one->{type}, pack 'H*', $one->{value};
        }
        $bytes .= pack 'n/a*', $all;
    }
    return $bytes;
}

1;
