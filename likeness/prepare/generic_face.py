"""A mean face to begin with: 478 points in the head frame, in tenths of a millimetre. No real person is in it.

Made of 14 drawn actors (`likeness.actor`): what MediaPipe's mesh says of depth over 10 frames of each (scaled orthography,
aligned by all points), averaged, and averaged with the mirror image; outer eye corners 89 mm apart; forehead (10) and
chin (152) equally deep. Real people differ from it by 2 to 4 mm. int16, little endian, base 85.
"""

import base64
from functools import cache

import numpy as np
from jaxtyping import Float, Int


def generic_face() -> Float[np.ndarray, "478 3"]:
    """Points in metres."""
    return np.frombuffer(base64.b85decode(_TEXT), "<i2").reshape(478, 3) / 10_000.0


@cache
def other_side() -> Int[np.ndarray, "478"]:
    """The landmark of the other side for each: where a mirror puts it. Exact, since the face was averaged with its mirror
    image; those of the middle stay."""
    points = generic_face()
    return np.linalg.norm(points[:, None] - points * [-1, 1, 1], axis=-1).argmin(1)


_TEXT = (
    "000>RgZ}^kXaVg0006K7egDw^kN{5q001HZ;Qjyr$^ZfX008~}tp8U2^8b_o002n;=>Gr!>;B~b006c9F#rGnG6IPI002$`mj3_%Wdg4M005H$zW)FKtpc"
    "?F007GZrvCr{?*gv>002@0*Z%+jivb7!#{ZB3R{xCs4*#+N1pg`kPyogLF91{ki~cMCW&lF|1pu7@IR6{~SOBU1R{vT6^ZsK0Rsd)IWdCgdJ^q9LfB+Z%F"
    "aWmzF8`eaApk@E-T$iqbNw&?wgKJ!0s!^^*#0g71^~1F3j&P)y8lZ8p#N(BAOf%dJO4TY-~WLBP6E6CRsUB4=>P8ix&l1_(f?)v^8U*IA_3?A@%=^rmH<@"
    "$j{pk*O#e~=g#StZE&-YUCH^G=Q~=EX(f|?vbpG-FIshg94gY2U#Qlu^OaXoWEC2rgG5?4EU;x4Xa{@~Mz5Sm8Dgt%?egTyKqW_ZtkpBk%Z30IC75{AlH~"
    "<O$=Kg~KNdIgBqyOXn^!^tB+Wx)%4gjnE-2Hn1>ixd{*Z|D_Q~o{x)BP>~$N;hZC;u`5wf`&vkpFf6I0Cc(NdHIz;QxXDiUFYi4*zWeKL9EJhXNk}9RF?t"
    "Hvp0UX#qw5VE<zR@&AkeU;@zp!2e+axBsmFOatBjvj6A;wg0vM#R9PZy8ovFzW>4hkOIg5VgG~z{{L40jso}pNdKJz@c%ylu>$%31OE&H@&9@KXaS4@005"
    "%_QvX8#eF7i=HUEGD9RRfdssWDwSpSp(%m1tYp8<{k7XPvU9RRZa+5js6KL1Mrxc?pgBmUn2L;iIBi2z~#zy3x59RKtJ8USkl(EjiLT>nn~5&%d4yZt}_T"
    "mByafdJe6UjWkpTmKCJU;qpLrvI$~eg9?v`u}eKJONDqp#7Nu4*~rBi2$1bL;jusV*s`Ol>kWq3jccmJ^)GoT>vlu%Kr`k!T+TF9Rc+K<Ncif$N=L1hye@"
    "#SpUxe>;Go`J^*q8c>g>AC;&JAQvve-EB@X8w*YPb4*_QXkNpAyY64#W`2TMJoB!wlGXFdN83XwML;h?7R{?bWNCCeA?)}OFKmm{arT>HhDF599Jpkzcpa"
    "E9@BLDjU{{OT6696s&j{XY(Yyiam5CB~O9siI5CjhVgq5%K_jsG<SLjdOf=mWX{oc^{0{{R30Q2qn}002M)F#!4g3;<gIEdK%kV*pM6{{L<O!Tpr~0s$xg"
    "zyD$Y@cyR%UI4iMp#Nh4g8r-jaR6fez5js#ZvC479|COt004mi007$oi~m0V>jBIEcK>t%e*dih+X0jR005-_-~W#OX9K|i+5VyfgaC^F1_S{B`~4RK!U0"
    "VG;{Ry?r2lpRrvCr{5(M)9GyfF?a{!6`)&Z^ojQ@%P-~WOCoC4SXcmK2k&i`@$)B@E1TK^~m_5U;fVgeHYCjVOk6#yImQvwtK)&4jF9sv0Lw*iU(rT;eo;"
    "s1sIx&KT6WB<ngVgNt?X#yAk{QX}7*#Nfxs{aH4LjPU^4*&oFg#bMN&HqvWfd2phMF4gGeE-@2o&Nv;)C1W60052y+y9>bhXd*V!~WU=S^xz9g8={l{r)5"
    "aH~@J5c>x;$%l^Uv4gg91;Q>bgkpId9=>J;({{Y4Rnf?|7hydjNT?1YKkp6@MUjW1X6ao(cN&cGxkpQm!Sptv&o&F61D*%B1qX5kRfd5+oI{#h&Y5{xyng"
    "1>U7yncLZ~sLA?fyLfMF5ljGyhHiOa4UvW&j=jY5#=)3jXf@&H!xvya2udGyY2emH=-4T>x+Zz5ZSRSpW(DPXJ8-MgKbhO#p5GCjdzRZvE5%k^)};dI6UI"
    "r2nq~bpNOSUjYvP!~cK*BmbxWYyl|$YX6M^ssGRag#i=))&H9TR{wGT`Tu4BjsF4wLjaxs2LK!ZQ2x#TlK?0FssEe+FaVGMPXDR_^8b_oIslLXR{wMY4*#"
    "+N`~WHdPyjmtF91{kbpb2@W&pkc1pu7@$N(GwSO8Z6R{vT64FO{RRsfj+WdCgd!vTZ;fB@+MFaWmz(g2+UAppGr-T$iqjRG(LwgDpo0s!^^C;=`31^`U}3"
    "j&P)MgU6!p#PQtAOf%d#Q-`2-~WIBP6E6Cs{mI5=>HM{x&l1_F92o%^8PjeA_3?A4+2I1mH?~(j{pk*v;a~8g#WhyE&-YU+W{p3Q~)#p(f|?vi~;ffIsn@"
    "N4gY2UJOYgVOaX%cEC2rg&j5%2U;sY>a{@~MLjs=yDguiDegTyKUI3E;kpKDsZ30IC>i}&6H~{wn=Kg~KxBzScqyHTN^!^tBCIP+v4gggF-2Hn176QKh*Z"
    "?#EQ~o{xEdnk7$N*0QC;u`5O8_hakpGJSI0Cc(xBy53;QxOBiUFYi@&IiDKLFPNhXNk}<N$60Hvn${X#qw5pa5e6@&9!IU;@zpKmcI^xBpZCOatBjP5|fv"
    "wf{>1#R9PZMgXS*zW+Y}kOIg5p8$jc{{N}~jso}pxB#63@c+U9u>$%3{QwLC@&AVcXaS4@z5sm!AOOn%fC3!=OaQ6@j{m3tlmW~CRREs>jsNNZvH%?bP66"
    "5gD*(a(O98n5;{hZ7-vGS<bpD9|p8>!AMgZgh^a2_HmH^QH@BgF#PW}=Axd6NUKmery9{_;>B?4an(*UIa4FF&O^#P{;tpI}nW&ryCk^npbO#fg4nE(#~1"
    "OkZwn*hB5o&aM2O97PtNdWc$djLKFw*XxLFaS0H4gkUbTml^d^#C0Lod3uG9sq~|3;(D9&j9QHngTumasr3|JOC&F$pBLU^8eKV-T$`$lK>9^X8&;l0s?9"
    "Rq5$~+ZvbTg=m0YR#Q_-u`2f8EYy(#Ti~>jjzX1{g$^t+EaRR0PgaOz9-2*)U7yzIFR{!1r`vCs`O#%}DE&*}@3jk~YJOK~@T>#?%kOC(FQ39d?00DCVH3"
    "UNd8Ug47x&UMWwgdkF2LTKKTL9Dm0svzGvjG18ZU8?5l>Y(&*#N))VgL{UrvF|5NCBY#V*q{utN(ETo&ml8fdG;Mn*SdHlmP$$fdIk)>jBIEiU4#0e*aVe"
    "+X0jRasg)p!2l-#q635gb^rzh0RRO87X!ipv;gA&X#iXRb^xaT%>Weya{zY&)&Z^obO4G1-~WFAoC4SXi2$?$&i{`9)B@E1rT{1d_5aNPVgeHY+5lSu6#("
    "S`QvwtKD*-qH9smdew*iU(TL3oz;s1L8x&KT6odCxFVgSJaX#yAk1Oi_I*#Jras{aH4z5reW4*)X&QUHMegaFzAo&RD0hXd*VJptMRS^)e2g8={l0|6uhH"
    "~@$Nc>x;$H37l_4gj|S;Q>bgZ~)2!=>Mhw{{Y4RX8{%ihyWY`T?1YKZ~=q@UjRJ<6ao(cw*i|1kpNNxSptv&V*w2UD*%81qX5kRfB;(oI{%{pY5{xyX8<k"
    "%7yqpQZ~sLA69GK`MF4F9GyhHiwE;x`W&q;>Y5#=)_5tqy&H$7Gya2ud%>hdQmH?6gT>x+ZLjhg@SpfF{PXJ8-y8t@?O#qVsCjdzRk^<BKk^-UtdI6UITm"
    "Y{CbpKfZUjYvPJph0KBmY?dYyl|$mH>?bssAwmg#i=)D*&4TR{xIx`Tu4Ba{vMWLjYp{2LK!ZumR2glK|NPssEe+#s1;{bpQwd;{SC3$Ns1PfdGU4;Qw|2"
    "!~PopX#hI`;s132eF5PAb^tj6r~iQf`2gbobpSm98vtnl"
)
